// SPDX-License-Identifier: Apache-2.0
import { defaultOperatorPlugin } from "../config/defaults.ts";
import { type FoundPlugin, findPlugins } from "../plugin/operator/find-plugins.ts";
import { type ChainMember, PluginChain } from "../plugin/operator/plugin-chain.ts";
import { PluginHost } from "../plugin/operator/plugin-host.ts";
import { runPlugin } from "../plugin/operator/run-plugin.ts";
import { type Plugin, plugin } from "../plugin/plugin.ts";
import { type Environment, pluginTypes } from "./environment.ts";
import type { RuntimePlugins } from "./runtime.ts";

export interface OperatorPlugins {
  readonly plugins: readonly Plugin<AsyncDisposable>[];
  /** Undefined when the operator has none: then creating a pod knows nothing of plugins. */
  readonly chain: PluginChain | undefined;
}

/** The operator's plugins: the folder is read here, the files are loaded with the other plugins. */
export function operatorPlugins(
  environment: Environment,
  { exchange }: RuntimePlugins,
): OperatorPlugins {
  const { config, log, metrics } = environment;
  const found = findPlugins(config.plugins.dir, Object.keys(config.plugins.config));
  if (found.length === 0) return { plugins: [], chain: undefined };
  const members = found.map(({ name }): ChainMember => {
    const { onFailure } = config.plugins.config[name] ?? defaultOperatorPlugin;
    return { name, onFailure, state: undefined };
  });
  return {
    plugins: found.map((one, index) =>
      operatorPlugin(environment, one, members[index] as ChainMember, exchange),
    ),
    chain: new PluginChain({
      members,
      log,
      onCall: (...call) => metrics.recordPluginCall(...call),
    }),
  };
}

function operatorPlugin(
  { config, log, metrics }: Environment,
  found: FoundPlugin,
  member: ChainMember,
  exchange: RuntimePlugins["exchange"],
): Plugin<AsyncDisposable> {
  const { name, file } = found;
  const { timeoutMs, onFailure, settings } = config.plugins.config[name] ?? defaultOperatorPlugin;
  const own = log.child({ plugin: name });
  const host = new PluginHost({ start: { name, file, settings }, timeoutMs, log: own });
  return plugin({
    type: pluginTypes.operator,
    id: name,
    requires: { exchange },
    exports: { file, timeout_ms: String(timeoutMs), on_failure: onFailure },
    get capabilities() {
      return [...host.hooks];
    },
    init: ({ exchange }) =>
      runPlugin({
        found,
        host,
        member,
        exchange,
        log: own,
        onEvent: (result) => metrics.recordPluginCall(name, "onEvent", result),
      }),
  });
}
