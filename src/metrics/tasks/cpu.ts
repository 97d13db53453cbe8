// SPDX-License-Identifier: Apache-2.0
import type { CpuSample } from "../cgroup/cgroup-sample.ts";
import {
  cgroupCounter,
  type Figure,
  labelled,
  seconds,
  type TaskMetricDefinition,
} from "./definition.ts";

/** CPU time and throttling. */
export function cpuMetrics(): TaskMetricDefinition[] {
  const counter = (name: string, help: string, pick: (cpu: CpuSample) => Figure) =>
    cgroupCounter(name, help, ({ cpu }) => cpu && pick(cpu));
  const time = (name: string, help: string, pick: (cpu: CpuSample) => bigint) =>
    cgroupCounter(name, help, ({ cpu }) => cpu && seconds(pick(cpu)), { isFractional: true });
  return [
    labelled(
      {
        type: "counter",
        name: "container_cpu_usage_seconds_total",
        help: "CPU time used, in seconds, of all CPUs together.",
        isFractional: true,
        labels: ["cpu"],
      },
      ({ cgroup: { cpu } }) =>
        cpu === undefined ? [] : [{ value: seconds(cpu.usageNanos), labels: { cpu: "total" } }],
    ),
    time(
      "container_cpu_user_seconds_total",
      "CPU time used in user mode, in seconds.",
      (cpu) => cpu.userNanos,
    ),
    time(
      "container_cpu_system_seconds_total",
      "CPU time used in the kernel, in seconds.",
      (cpu) => cpu.systemNanos,
    ),
    counter(
      "container_cpu_cfs_periods_total",
      "Enforcement periods that have passed.",
      (cpu) => cpu.periods,
    ),
    counter(
      "container_cpu_cfs_throttled_periods_total",
      "Periods in which the quota ran out.",
      (cpu) => cpu.throttledPeriods,
    ),
    time(
      "container_cpu_cfs_throttled_seconds_total",
      "Time spent throttled, in seconds.",
      (cpu) => cpu.throttledNanos,
    ),
  ];
}
