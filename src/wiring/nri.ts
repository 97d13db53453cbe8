// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import type { Config } from "../config/config.ts";
import type { Layout } from "../config/layout.ts";
import { onCommit, type ReloadPart } from "../config/reload-port.ts";
import type { AdjustSpec } from "../cri/nri/nri-reviewer.ts";
import type { NodePlugins, NodeState } from "../nri/ports.ts";
import type { NriSettings } from "../nri/settings.ts";
import type { Environment } from "./environment.ts";

/** The node's plugins, before and after anything of them runs. */
export interface Nri extends AsyncDisposable {
  readonly plugins: NodePlugins;
  readonly adjust: AdjustSpec;
  readonly reload: readonly ReloadPart[];
  /** Opens the socket and starts the programs; settles when these are synchronized, or late. */
  start(call: Cancellable): Promise<void>;
}

/** Undefined where NRI is off: then nothing of it is loaded. `node` is asked once plugins are there. */
export async function openNri(
  { config, layout, live, log, metrics, sockets, version }: Environment,
  node: () => NodeState,
  adjust: AdjustSpec,
): Promise<Nri | undefined> {
  if (!config.nri.enable) return undefined;
  const { createNri } = await import("../nri/nri.ts");
  const nri = createNri({
    settings: nriSettings(live.current, layout),
    node: {
      pods: () => node().pods(),
      containers: () => node().containers(),
      hasContainer: (id) => node().hasContainer(id),
      update: (updates, call) => node().update(updates, call),
      evict: (id, reason, call) => node().evict(id, reason, call),
    },
    runtime: { name: "berth", version },
    log,
    watch: metrics.nri,
  });
  const watched = sockets.add(() => (nri.socket ? [nri.socket] : []));
  return {
    plugins: nri,
    adjust,
    reload: [
      {
        keys: ["nri"],
        prepare: async (next) => onCommit(() => nri.reload(nriSettings(next, layout))),
      },
    ],
    start: (call) => nri.start(call),
    [Symbol.asyncDispose]: () => {
      watched[Symbol.dispose]();
      return nri[Symbol.asyncDispose]();
    },
  };
}

/** `[nri]` as src/nri takes it: what says nothing in the file is not there. */
function nriSettings({ nri }: Pick<Config, "nri">, layout: Layout): NriSettings {
  const { plugins, defaultValidator, onFailure } = nri;
  const { enable, ...rules } = defaultValidator;
  return {
    socketPath: nri.socketPath,
    pluginPath: nri.pluginPath,
    pluginConfigPath: nri.pluginConfigPath,
    runFolder: layout.nriPlugins,
    registrationTimeoutMs: nri.registrationTimeoutMs,
    requestTimeoutMs: nri.requestTimeoutMs,
    disableConnections: nri.disableConnections,
    required: nri.required,
    tolerateMissingPluginsAnnotation: rules.tolerateMissingPluginsAnnotation,
    onFailure: said(onFailure),
    plugins: Object.fromEntries(
      Object.entries(plugins).map(([name, own]) => [
        name,
        {
          onFailure: said(own.onFailure),
          requestTimeoutMs: own.requestTimeoutMs === 0 ? undefined : own.requestTimeoutMs,
        },
      ]),
    ),
    defaultValidator: enable ? rules : undefined,
  };
}

function said<V extends string>(value: V): Exclude<V, ""> | undefined {
  return value === "" ? undefined : (value as Exclude<V, "">);
}
