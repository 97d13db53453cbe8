// SPDX-License-Identifier: Apache-2.0
import type { CgroupSample, HugetlbSample, Pressure } from "../cgroup/cgroup-sample.ts";
import { cgroupCounter, labelled, seconds, type TaskMetricDefinition } from "./definition.ts";

/** Huge pages, by size. */
export function hugetlbMetrics(): TaskMetricDefinition[] {
  const byPage = (name: string, help: string, pick: (sample: HugetlbSample) => bigint) =>
    labelled(
      {
        type: "gauge",
        name,
        help,
        labels: ["pagesize"],
        isKept: ({ hugetlb }) => hugetlb,
      },
      ({ cgroup }) =>
        cgroup.hugetlb.map((sample) => ({
          value: Number(pick(sample)),
          labels: { pagesize: sample.pageSize },
        })),
    );
  return [
    byPage("container_hugetlb_usage_bytes", "Huge pages in use.", (sample) => sample.usageBytes),
    byPage(
      "container_hugetlb_max_usage_bytes",
      "The most huge pages ever in use.",
      (sample) => sample.maxUsageBytes,
    ),
  ];
}

/** Time lost to waiting, by resource. */
export function pressureMetrics(): TaskMetricDefinition[] {
  const sources = {
    cpu: (cgroup: CgroupSample): Pressure | undefined => cgroup.cpu?.pressure,
    memory: (cgroup: CgroupSample): Pressure | undefined => cgroup.memory?.pressure,
    io: (cgroup: CgroupSample): Pressure | undefined => cgroup.ioPressure,
  };
  const counter = (
    name: string,
    help: string,
    pick: (cgroup: CgroupSample) => bigint | undefined,
  ): TaskMetricDefinition =>
    cgroupCounter(
      name,
      help,
      (cgroup) => {
        const nanos = pick(cgroup);
        return nanos === undefined ? undefined : seconds(nanos);
      },
      { isFractional: true, isKept: ({ pressure }) => pressure },
    );
  return Object.entries(sources).flatMap(([resource, pressure]) => [
    counter(
      `container_pressure_${resource}_waiting_seconds_total`,
      `Time some tasks waited for ${resource}, in seconds.`,
      (cgroup) => pressure(cgroup)?.some.totalNanos,
    ),
    counter(
      `container_pressure_${resource}_stalled_seconds_total`,
      `Time all tasks waited for ${resource}, in seconds.`,
      (cgroup) => pressure(cgroup)?.full.totalNanos,
    ),
  ]);
}
