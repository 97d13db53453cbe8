// SPDX-License-Identifier: Apache-2.0
import { type MetricsServer, serveMetrics } from "../metrics/http.ts";
import { type Plugin, plugin } from "../plugin/plugin.ts";
import type { Telling } from "./cluster.ts";
import type { CriPlugins } from "./cri.ts";
import { type Environment, pluginTypes } from "./environment.ts";
import type { RuntimePlugins } from "./runtime.ts";
import type { StoragePlugins } from "./storage.ts";

interface Monitored {
  readonly runtime: RuntimePlugins;
  readonly cri: CriPlugins;
  readonly telling: Telling;
}

/** The task monitor: what Prometheus scrapes, with the pods' names on it. */
export function monitorPlugin(
  { live, log, memory, metrics, reloads, sockets }: Environment,
  { metadata, trees }: StoragePlugins,
  { runtime: { runtime }, cri: { runtime: cri, logs, images }, telling }: Monitored,
): Plugin<MetricsServer> {
  return plugin({
    type: pluginTypes.monitor,
    id: "cgroups",
    requires: { metadata, trees, tasks: runtime, cri, logs, images },
    exports: {
      get address() {
        return live.current.metrics.address;
      },
    },
    init: ({ metadata, trees, tasks, cri, logs, images }) => {
      metrics.observe({
        stuckRemovals: () => trees.remover.stuck.length,
        lostSockets: () => sockets.lost().length,
        memory: () => memory.facts(),
        shims: () => new Set(tasks.list().flatMap(({ shim }) => shim.address || [])).size,
        operations: () => cri.stages(),
        streamingSessions: () => cri.sessions.open(),
        logs: () => logs.totals(),
        transfers: () => images.transfers.counts(),
        sandboxes: () => cri.sandboxes(),
        configuration: () => reloads.facts,
        missingNriPlugins: () => cri.missingNriPlugins().length,
        cluster: () => ({ facts: telling.facts.counts(), telling: telling.state() }),
        nriPlugins: () => cri.nriPlugins() ?? [],
      });
      return serveMetrics({
        address: live.current.metrics.address,
        registry: metrics.registry,
        tasks: cri.samples,
        health: () => ({ healthy: metadata.harm === undefined, detail: metadata.harm ?? "ok" }),
        log,
      });
    },
  });
}
