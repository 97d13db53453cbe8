// SPDX-License-Identifier: Apache-2.0
import { Counter, Gauge, type Registry } from "prom-client";
import type { MemorySource } from "./ports.ts";

/** The daemon's memory budget. */
export function registerMemoryMetrics(registry: Registry, memory: () => MemorySource): void {
  registry.registerMetric(
    new Gauge({
      name: "berth_memory_limit_bytes",
      help: "Memory that the daemon may use, by its memory cgroup or the machine.",
      registers: [],
      collect() {
        this.set(memory().limitBytes);
      },
    }),
  );
  const byPool = (name: string, help: string, of: "heldBytes" | "limitBytes"): void => {
    registry.registerMetric(
      new Gauge({
        name,
        help,
        labelNames: ["pool"],
        registers: [],
        collect() {
          for (const pool of memory().pools) this.set({ pool: pool.name }, pool[of]);
        },
      }),
    );
  };
  byPool("berth_memory_pool_bytes", "Memory held of each share of the budget.", "heldBytes");
  byPool("berth_memory_pool_limit_bytes", "Size of each share of the budget.", "limitBytes");
  registry.registerMetric(
    new Counter({
      name: "berth_refused_calls_total",
      help: "Calls refused for lack of memory, by what was short.",
      labelNames: ["reason"],
      registers: [],
      collect() {
        this.reset();
        for (const [reason, count] of Object.entries(memory().refused)) this.inc({ reason }, count);
      },
    }),
  );
}
