// SPDX-License-Identifier: Apache-2.0
import type { MemorySample } from "../cgroup/cgroup-sample.ts";
import {
  cgroupCounter,
  cgroupGauge,
  type Figure,
  labelled,
  type TaskMetricDefinition,
} from "./definition.ts";

/** Memory, swap and out-of-memory kills. */
export function memoryMetrics(): TaskMetricDefinition[] {
  const gauge = (name: string, help: string, pick: (memory: MemorySample) => Figure) =>
    cgroupGauge(name, help, ({ memory }) => memory && pick(memory));
  return [
    gauge(
      "container_memory_usage_bytes",
      "Memory in use, page cache included.",
      (memory) => memory.usageBytes,
    ),
    gauge(
      "container_memory_working_set_bytes",
      "Memory in use without page cache that can be dropped.",
      (memory) => memory.workingSetBytes,
    ),
    gauge("container_memory_rss", "Anonymous memory.", (memory) => memory.rssBytes),
    gauge("container_memory_cache", "Page cache.", (memory) => memory.cacheBytes),
    gauge("container_memory_mapped_file", "Mapped files.", (memory) => memory.mappedFileBytes),
    gauge("container_memory_kernel_usage", "Kernel memory.", (memory) => memory.kernelBytes),
    gauge(
      "container_memory_max_usage_bytes",
      "The most memory ever in use; the present use where the kernel keeps no peak.",
      (memory) => memory.maxUsageBytes ?? memory.usageBytes,
    ),
    gauge(
      "container_memory_total_active_file_bytes",
      "Page cache in active use.",
      (memory) => memory.activeFileBytes,
    ),
    gauge(
      "container_memory_total_inactive_file_bytes",
      "Page cache that can be dropped.",
      (memory) => memory.inactiveFileBytes,
    ),
    cgroupGauge(
      "container_memory_swap",
      "Swap in use; 0 where the kernel does not account for it.",
      ({ swap }) => swap?.usageBytes ?? 0n,
    ),
    cgroupCounter(
      "container_memory_failcnt",
      "How often an allocation met the limit.",
      ({ memory }) => memory?.failures,
    ),
    faults(),
    cgroupCounter(
      "container_oom_events_total",
      "Processes killed for want of memory.",
      ({ oomKills }) => oomKills ?? 0n,
    ),
  ];
}

function faults(): TaskMetricDefinition {
  return labelled(
    {
      type: "counter",
      name: "container_memory_failures_total",
      help: "Page faults, by kind; of the container with all cgroups below it.",
      labels: ["failure_type", "scope"],
    },
    ({ cgroup: { memory } }) => {
      if (memory === undefined) return [];
      const kinds = { pgfault: memory.pageFaults, pgmajfault: memory.majorPageFaults };
      // A container's own values and those of its hierarchy are the same: its cgroup holds all of it.
      return Object.entries(kinds).flatMap(([kind, count]) =>
        ["container", "hierarchy"].map((scope) => ({
          value: Number(count),
          labels: { failure_type: kind, scope },
        })),
      );
    },
  );
}
