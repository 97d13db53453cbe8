// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";

/**
 * A part of the daemon that starts once what it requires is up. What `init` returns is the plugin's
 * instance: others get it through their context, and it is disposed when the daemon stops, if it is
 * disposable.
 */
export interface Plugin<T> {
  /** `io.containerd.metadata.v1` for one: what kind of thing it is. */
  readonly type: string;
  /** Its name among those of its type. */
  readonly id: string;
  /**
   * What must be up before: a type ("at least one of them is up, all have had their turn") or a
   * plugin's URI, `type.id` ("that one is up").
   */
  readonly requires: readonly string[];
  /** Facts shown by introspection. */
  readonly exports?: Readonly<Record<string, string>>;
  readonly capabilities?: readonly string[];
  /** It has a time limit: the daemon goes on without one that is late, or ends when that is a vital one. */
  init(context: PluginContext): T | Promise<T>;
}

export interface PluginContext extends Cancellable {
  /** The instance of a required plugin. Throws when it is not among `requires` or is not up. */
  readonly get: <T>(plugin: Plugin<T>) => T;
  /** The instances of all required plugins of a type that are up, by id. */
  readonly all: (type: string) => ReadonlyMap<string, unknown>;
  /** Names what `init` is about to wait for, in a word or two: it is told of one that takes long. */
  readonly waitsFor: (what: string) => void;
}

export type PluginState =
  | { readonly kind: "waiting" }
  | { readonly kind: "up" }
  | { readonly kind: "failed"; readonly error: Error }
  | { readonly kind: "stopped" };

/** What introspection shows of a plugin. */
export interface PluginFacts {
  readonly type: string;
  readonly id: string;
  readonly requires: readonly string[];
  readonly exports: Readonly<Record<string, string>>;
  readonly capabilities: readonly string[];
  readonly state: PluginState;
}

/** Only for inference: `const store = definePlugin({ …, init: () => open() })`. */
export function definePlugin<T>(plugin: Plugin<T>): Plugin<T> {
  return plugin;
}

/** `type.id`, the name by which a plugin is required and reported. */
export function pluginUri(plugin: { readonly type: string; readonly id: string }): string {
  return `${plugin.type}.${plugin.id}`;
}
