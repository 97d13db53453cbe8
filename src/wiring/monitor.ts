// SPDX-License-Identifier: Apache-2.0
import { serveMetrics } from "../metrics/http.ts";
import { definePlugin, pluginUri } from "../plugin/plugin.ts";
import type { CriPlugins } from "./cri.ts";
import { type Environment, pluginTypes } from "./environment.ts";
import type { RuntimePlugins } from "./runtime.ts";
import type { StoragePlugins } from "./storage.ts";

/** The task monitor: what Prometheus scrapes, with the pods' names on it. */
// oxlint-disable-next-line typescript/explicit-module-boundary-types -- the plugin's type is its instance's, inferred
export function monitorPlugin(
  { live, log, memory, metrics, reloads }: Environment,
  { trees }: StoragePlugins,
  { runtime }: RuntimePlugins,
  { runtimeService, logs }: CriPlugins,
) {
  return definePlugin({
    type: pluginTypes.monitor,
    id: "cgroups",
    requires: [trees, runtime, runtimeService, logs].map(pluginUri),
    exports: {
      get address() {
        return live.current.metrics.address;
      },
    },
    init: (context) => {
      const manager = context.get(runtime);
      const service = context.get(runtimeService);
      metrics.observe({
        stuckRemovals: () => context.get(trees).remover.stuck.length,
        memory: () => memory.facts(),
        shims: () => new Set(manager.list().map((task) => task.shim.address)).size,
        operations: () => stagesInFlight(service.operations()),
        streamingSessions: () => service.sessions.open(),
        logs: () => context.get(logs).totals(),
        sandboxes: () => service.sandboxes(),
        configuration: () => reloads.facts,
      });
      return serveMetrics({
        address: live.current.metrics.address,
        registry: metrics.registry,
        tasks: service.samples,
        health: () => ({ healthy: true, detail: "ok" }),
        log,
      });
    },
  });
}

export type MonitorPlugin = ReturnType<typeof monitorPlugin>;

function stagesInFlight(
  operations: readonly { readonly stages: readonly { readonly stage: string }[] }[],
): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { stages } of operations) {
    for (const { stage } of stages) counts.set(stage, (counts.get(stage) ?? 0) + 1);
  }
  return counts;
}
