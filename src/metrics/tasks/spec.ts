// SPDX-License-Identifier: Apache-2.0
import { cgroupGauge, gauge, type TaskMetricDefinition } from "./definition.ts";

/** The limits a container was given, as its cgroup has them now. 0 where there is none. */
export function specMetrics(): TaskMetricDefinition[] {
  return [
    gauge(
      "container_spec_cpu_period",
      "CPU quota period, in microseconds.",
      ({ limits }) => limits.cpuPeriodMicros ?? 0n,
    ),
    gauge(
      "container_spec_cpu_quota",
      "CPU quota in each period, in microseconds; 0 when there is none.",
      ({ limits }) => limits.cpuQuotaMicros ?? 0n,
    ),
    gauge("container_spec_cpu_shares", "CPU shares.", ({ limits }) => limits.cpuShares ?? 0n),
    cgroupGauge(
      "container_spec_memory_limit_bytes",
      "Memory limit; 0 when there is none.",
      ({ memory }) => memory && (memory.limitBytes ?? 0n),
    ),
    cgroupGauge(
      "container_spec_memory_swap_limit_bytes",
      "Swap limit; 0 when there is none.",
      ({ swap }) => swap?.limitBytes ?? 0n,
    ),
    gauge(
      "container_spec_memory_reservation_limit_bytes",
      "Memory kept from reclaim; 0 when none is.",
      ({ limits }) => limits.memoryReservationBytes ?? 0n,
    ),
  ];
}
