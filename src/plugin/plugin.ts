// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";

/**
 * A part of the daemon that starts once what it requires is up. What it makes is the plugin's instance:
 * those that require it get it, and it is disposed when the daemon stops, if it is disposable.
 * Made by `plugin`.
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
  start(up: UpPlugins, context: PluginContext): T | Promise<T>;
}

/** The instances of the plugins that are up. */
export interface UpPlugins {
  /** FAILED_PRECONDITION when it is not up. */
  get<T>(plugin: Plugin<T>): T;
  /** Undefined when it is not up. */
  find<T>(plugin: Plugin<T>): T | undefined;
}

export interface PluginContext extends Cancellable {
  /** Names what `init` is about to wait for, in a word or two: it is told of one that takes long. */
  readonly waitsFor: (what: string) => void;
}

/** All plugins of one type: at least one of them must be up. What is got are those that are, by id. */
export interface AllOf<T> {
  readonly all: readonly [Plugin<T>, ...Plugin<T>[]];
}

export type Requirements = Readonly<Record<string, Plugin<unknown> | AllOf<unknown>>>;

/** What `init` gets for what its plugin requires, under the same names. */
export type Required<R extends Requirements> = {
  readonly [Name in keyof R]: R[Name] extends Plugin<infer T>
    ? T
    : R[Name] extends AllOf<infer T>
      ? ReadonlyMap<string, T>
      : never;
};

export interface PluginDefinition<R extends Requirements, T>
  extends Pick<Plugin<T>, "type" | "id" | "exports" | "capabilities"> {
  readonly requires: R;
  readonly init: (required: Required<R>, context: PluginContext) => T | Promise<T>;
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

/** `plugin({ type, id, requires: { metadata }, init: ({ metadata }) => new Leases(metadata) })`. */
export function plugin<const R extends Requirements, T>(
  definition: PluginDefinition<R, T>,
): Plugin<T> {
  const { type, id, requires, exports = {}, init } = definition;
  return {
    type,
    id,
    requires: Object.values(requires).map((one) =>
      "all" in one ? one.all[0].type : pluginUri(one),
    ),
    exports,
    get capabilities() {
      return definition.capabilities ?? []; // an operator's plugin has told them when it is up
    },
    start: (up, context) => init(instancesOf(requires, up), context),
  };
}

/** `type.id`, the name by which a plugin is required and reported. */
export function pluginUri(one: { readonly type: string; readonly id: string }): string {
  return `${one.type}.${one.id}`;
}

function instancesOf<R extends Requirements>(requires: R, up: UpPlugins): Required<R> {
  const instances = Object.entries(requires).map(([name, one]) => [
    name,
    "all" in one ? instancesOfAll(one, up) : up.get(one),
  ]);
  return Object.fromEntries(instances) as Required<R>;
}

function instancesOfAll({ all }: AllOf<unknown>, up: UpPlugins): ReadonlyMap<string, unknown> {
  const found = new Map<string, unknown>();
  for (const one of all) {
    const instance = up.find(one);
    if (instance !== undefined) found.set(one.id, instance);
  }
  return found;
}
