// SPDX-License-Identifier: Apache-2.0
import { Counter, type Registry } from "prom-client";
import { computedGauge } from "./computed-gauge.ts";
import type { ClusterSource } from "./ports.ts";

/** What befell pods, and what of it a cluster was told; the latter has no series where it is told nothing. */
export function registerClusterMetrics(registry: Registry, cluster: () => ClusterSource): void {
  registry.registerMetric(
    new Counter({
      name: "berth_pod_facts_total",
      help: "What befell pods and no kubelet learns of, by kind, which is the reason of its Event.",
      labelNames: ["kind"],
      registers: [],
      collect() {
        this.reset();
        for (const [kind, count] of cluster().facts) this.inc({ kind }, count);
      },
    }),
  );
  registry.registerMetric(
    new Counter({
      name: "berth_kubernetes_events_total",
      help: "Events for an API server, by result: sent, or dropped: full and pod (too many at once), late (not taken within an hour), refused.",
      labelNames: ["result"],
      registers: [],
      collect() {
        this.reset();
        const { telling } = cluster();
        if (telling === undefined) return;
        this.inc({ result: "sent" }, telling.sent);
        for (const [result, count] of Object.entries(telling.dropped)) this.inc({ result }, count);
      },
    }),
  );
  computedGauge(
    registry,
    "berth_kubernetes_waiting_events",
    "Events that wait for an API server, or for their turn.",
    () => cluster().telling?.waiting,
  );
  computedGauge(
    registry,
    "berth_kubernetes_failing",
    "1 while no API server takes what it is told; `berth status` says why.",
    () => {
      const { telling } = cluster();
      return telling && (telling.problem === undefined ? 0 : 1);
    },
  );
}
