// SPDX-License-Identifier: Apache-2.0
import { fault } from "../base/errors.ts";
import { pluginUri } from "./plugin.ts";

export interface Orderable {
  readonly type: string;
  readonly id: string;
  readonly requires: readonly string[];
}

/** Those that a requirement means: one plugin, or all of a type. */
export function providersOf<P extends Orderable>(requirement: string, plugins: readonly P[]): P[] {
  return plugins.filter((one) => one.type === requirement || pluginUri(one) === requirement);
}

/**
 * The plugins so that each comes after what it requires, otherwise in the given order.
 * INVALID_ARGUMENT names two of one URI, a requirement that nothing meets, or the cycle.
 */
export function startOrder<P extends Orderable>(plugins: readonly P[]): P[] {
  const seen = new Set<string>();
  for (const plugin of plugins) {
    const uri = pluginUri(plugin);
    if (seen.has(uri)) throw fault("INVALID_ARGUMENT", `plugin "${uri}" is registered twice`);
    seen.add(uri);
  }
  const ordered = new Set<P>();
  const visit = (plugin: P, path: readonly P[]): void => {
    if (ordered.has(plugin)) return;
    if (path.includes(plugin)) throw cycle([...path.slice(path.indexOf(plugin)), plugin]);
    for (const requirement of plugin.requires) {
      const providers = providersOf(requirement, plugins);
      if (providers.length === 0) {
        const uri = pluginUri(plugin);
        throw fault(
          "INVALID_ARGUMENT",
          `plugin "${uri}" requires "${requirement}", which no plugin is`,
        );
      }
      for (const provider of providers) visit(provider, [...path, plugin]);
    }
    ordered.add(plugin);
  };
  for (const plugin of plugins) visit(plugin, []);
  return [...ordered];
}

function cycle(path: readonly Orderable[]): Error {
  const names = path.map((plugin) => `"${pluginUri(plugin)}"`).join(" → ");
  return fault("INVALID_ARGUMENT", `plugins require each other: ${names}`);
}
