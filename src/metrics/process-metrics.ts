// SPDX-License-Identifier: Apache-2.0
import { readdirSync } from "node:fs";
import { Counter, type Registry } from "prom-client";
import { computedGauge } from "./computed-gauge.ts";

/**
 * The process_* and nodejs_* metrics that dashboards expect of every daemon. Not prom-client's own
 * set: that keeps a 10 ms event-loop timer and a garbage-collection observer running, which is most
 * of what an idle daemon would do.
 */
export function registerProcessMetrics(registry: Registry): void {
  registry.registerMetric(
    new Counter({
      name: "process_cpu_seconds_total",
      help: "Total user and system CPU time spent in seconds.",
      registers: [],
      collect() {
        const { user, system } = process.cpuUsage();
        this.reset();
        this.inc((user + system) / 1e6);
      },
    }),
  );
  const gauges: readonly [string, string, () => number][] = [
    [
      "process_resident_memory_bytes",
      "Resident memory size in bytes.",
      () => process.memoryUsage.rss(),
    ],
    [
      "process_start_time_seconds",
      "Start time of the process since unix epoch in seconds.",
      () => performance.timeOrigin / 1000,
    ],
    [
      "process_open_fds",
      "Number of open file descriptors.",
      () => readdirSync("/proc/self/fd").length,
    ],
    [
      "nodejs_heap_size_used_bytes",
      "Heap in use by the JavaScript engine, in bytes.",
      () => process.memoryUsage().heapUsed,
    ],
  ];
  for (const [name, help, value] of gauges) computedGauge(registry, name, help, value);
}
