// SPDX-License-Identifier: Apache-2.0
import type { LogConfig } from "../config/config.ts";
import { onCommit, type ReloadPart } from "../config/reload-port.ts";
import type { KubeReporter } from "../kube/kube-reporter.ts";
import type { MetricsServer } from "../metrics/http.ts";
import type { Plugin } from "../plugin/plugin.ts";
import type { PluginRegistry } from "../plugin/registry.ts";
import type { FurtherSockets } from "../rpc/further-sockets.ts";
import type { CriPlugins } from "./cri.ts";
import type { Streaming } from "./streaming.ts";

export interface ReloadSources {
  readonly registry: PluginRegistry;
  readonly cri: CriPlugins;
  readonly monitor: Plugin<MetricsServer>;
  readonly streaming: Plugin<Streaming>;
  readonly cluster: Plugin<KubeReporter>;
  readonly furtherSockets: FurtherSockets;
  readonly setLogLevel: (level: LogConfig["level"]) => void;
}

/** What must be told of a reload, and the keys of plugins that did not come up. */
export interface ReloadParts {
  readonly parts: readonly ReloadPart[];
  readonly held: readonly string[];
}

/** The parts of a daemon that has started. All that is not here reads LiveConfig by itself. */
export function reloadParts({
  registry,
  cri,
  monitor,
  streaming,
  cluster,
  furtherSockets,
  setLogLevel,
}: ReloadSources): ReloadParts {
  const parts: ReloadPart[] = [];
  const held: string[] = [];
  /** A plugin that is not up cannot take anything up: its keys wait for the next start. */
  const add = <T>(plugin: Plugin<T>, keys: readonly string[], prepare: PrepareOn<T>): void => {
    const instance = registry.find(plugin);
    if (instance === undefined) held.push(...keys);
    else parts.push({ keys, prepare: (...call) => prepare(instance, ...call) });
  };
  parts.push({
    keys: ["log.level"],
    prepare: async ({ log }) => onCommit(() => setLogLevel(log.level)),
  });
  parts.push({ keys: ["grpc.also"], prepare: ({ grpc }) => furtherSockets.prepare(grpc.also) });
  add(monitor, ["metrics.address"], (server, { metrics }) => server.prepareMove(metrics.address));
  add(
    cri.network,
    ["cni", "timeouts.cniMs"],
    async (network, { cni, timeouts }, _changes, call) => {
      const prepared = await network.prepare({ config: cni, timeouts }, call);
      return onCommit(() => prepared.commit());
    },
  );
  add(streaming, ["streaming"], async ({ server }, next) =>
    onCommit(() => server.limit(next.streaming)),
  );
  add(cluster, ["kubernetes"], async (reporter, { kubernetes }) =>
    onCommit(() => reporter.configure(kubernetes)),
  );
  parts.push(...registry.get(cri.runtime).reload);
  return { parts, held };
}

type PrepareOn<T> = (
  instance: T,
  ...call: Parameters<ReloadPart["prepare"]>
) => ReturnType<ReloadPart["prepare"]>;
