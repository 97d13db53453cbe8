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

export interface StartOrder<P> {
  /** All of them, each after what it requires, otherwise in the given order. */
  readonly order: readonly P[];
  /** Those that cannot start: part of a cycle, or in want of what no plugin is. */
  readonly impossible: ReadonlyMap<P, Error>;
}

/** INVALID_ARGUMENT for two of one URI; whatever else is wrong concerns only the plugins it is wrong with. */
export function startOrder<P extends Orderable>(plugins: readonly P[]): StartOrder<P> {
  const seen = new Set<string>();
  for (const plugin of plugins) {
    const uri = pluginUri(plugin);
    if (seen.has(uri)) throw fault("INVALID_ARGUMENT", `plugin "${uri}" is registered twice`);
    seen.add(uri);
  }
  const ordered = new Set<P>();
  const impossible = new Map<P, Error>();
  const visit = (plugin: P, path: readonly P[]): void => {
    if (ordered.has(plugin)) return;
    if (path.includes(plugin)) {
      const members = path.slice(path.indexOf(plugin));
      for (const member of members) impossible.set(member, cycle([...members, plugin]));
      return;
    }
    for (const requirement of plugin.requires) {
      const providers = providersOf(requirement, plugins);
      if (providers.length === 0) impossible.set(plugin, missing(plugin, requirement));
      for (const provider of providers) visit(provider, [...path, plugin]);
    }
    ordered.add(plugin);
  };
  for (const plugin of plugins) visit(plugin, []);
  return { order: [...ordered], impossible };
}

function missing(plugin: Orderable, requirement: string): Error {
  const uri = pluginUri(plugin);
  return fault("INVALID_ARGUMENT", `plugin "${uri}" requires "${requirement}", which no plugin is`);
}

function cycle(path: readonly Orderable[]): Error {
  const names = path.map((plugin) => `"${pluginUri(plugin)}"`).join(" → ");
  return fault("INVALID_ARGUMENT", `plugins require each other: ${names}`);
}
