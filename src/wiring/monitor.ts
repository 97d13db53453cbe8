// SPDX-License-Identifier: Apache-2.0
import type { StatsTarget } from "../cri/ports.ts";
import type { CgroupLayout } from "../metrics/cgroup/cgroup-layout.ts";
import { serveMetrics } from "../metrics/http.ts";
import type { TaskInfo } from "../metrics/ports.ts";
import { definePlugin, pluginUri } from "../plugin/plugin.ts";
import type { CriPlugins } from "./cri.ts";
import { type Environment, pluginTypes } from "./environment.ts";
import type { RuntimePlugins } from "./runtime.ts";

/** The task monitor: what Prometheus scrapes, with the pods' names on it. */
// oxlint-disable-next-line typescript/explicit-module-boundary-types -- the plugin's type is its instance's, inferred
export function monitorPlugin(
  { config, log, metrics }: Environment,
  { runtime }: RuntimePlugins,
  { runtimeService }: CriPlugins,
) {
  return definePlugin({
    type: pluginTypes.monitor,
    id: "cgroups",
    requires: [pluginUri(runtime), pluginUri(runtimeService)],
    exports: { address: config.metrics.address },
    init: (context) => {
      const manager = context.get(runtime);
      const service = context.get(runtimeService);
      metrics.observe({
        shims: () => new Set(manager.list().map((task) => task.shim.address)).size,
        operations: () => stagesInFlight(service.operations()),
      });
      return serveMetrics({
        address: config.metrics.address,
        registry: metrics.registry,
        sources: { tasks: () => service.tasks().map((target) => taskInfo(target, service.layout)) },
        health: () => ({ healthy: true, detail: "ok" }),
        log,
      });
    },
  });
}

export type MonitorPlugin = ReturnType<typeof monitorPlugin>;

function taskInfo(target: StatsTarget, layout: CgroupLayout): TaskInfo {
  const { metadata } = target.sandboxConfig;
  return {
    namespace: metadata?.namespace ?? "",
    pod: metadata?.name ?? "",
    podUid: metadata?.uid ?? "",
    container: target.isSandbox ? "POD" : target.name,
    containerId: target.id,
    image: target.image,
    pid: target.pid,
    cgroupPaths: layout.locate(target.cgroupsPath),
    startedAtNanos: target.startedAtNanos,
    ...(target.isSandbox && target.netnsPath !== "" ? { netnsPath: target.netnsPath } : {}),
  };
}

function stagesInFlight(
  operations: readonly { readonly stages: readonly { readonly stage: string }[] }[],
): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { stages } of operations) {
    for (const { stage } of stages) counts.set(stage, (counts.get(stage) ?? 0) + 1);
  }
  return counts;
}
