// SPDX-License-Identifier: Apache-2.0
import { untilAborted } from "../base/waits.ts";

/** What has begun and is not shown by the façade yet. */
export class Pending<T extends { readonly id?: string | null | undefined }> {
  readonly #entries = new Set<Entry<T>>();

  /** `make` tells what it is, when a plugin joins. */
  add(make: () => T | null | undefined): Entry<T> {
    const entry = new Entry(make, this.#entries);
    this.#entries.add(entry);
    return entry;
  }

  /**
   * All that are pending, and of `shown` what is not among them; each is made when its turn comes. What is disposed
   * meanwhile is still told, since `shown` was taken before it could have it.
   */
  with(shown: readonly (() => T | undefined)[]): readonly (() => T | undefined)[] {
    const told = new Set<string>();
    return [...[...this.#entries].map((entry) => () => entry.make()), ...shown].map(
      (make) => () => {
        const made = make();
        const id = made?.id;
        if (typeof id !== "string" || told.has(id)) return undefined;
        told.add(id);
        return made ?? undefined;
      },
    );
  }

  /** Those that are pending now, by their ids. */
  byId(): ReadonlyMap<string, Entry<T>> {
    const entries = new Map<string, Entry<T>>();
    for (const entry of this.#entries) {
      const id = entry.id();
      if (id !== undefined) entries.set(id, entry);
    }
    return entries;
  }
}

/** Something that is pending until it is disposed. */
export class Entry<T extends { readonly id?: string | null | undefined }> implements Disposable {
  make: () => T | null | undefined;
  readonly #entries: Set<Entry<T>>;
  readonly #end = Promise.withResolvers<void>();
  /** Plugins that are asked about it now. */
  readonly #asked = new Set<string>();
  /** By plugins, those who wait for something that hangs on their answer when they are asked. */
  readonly #waiting = new Map<string, PromiseWithResolvers<void>>();

  constructor(make: () => T | null | undefined, entries: Set<Entry<T>>) {
    this.make = make;
    this.#entries = entries;
  }

  id(): string | undefined {
    try {
      return this.make()?.id ?? undefined;
    } catch {
      return undefined; // who makes it hears of that
    }
  }

  /** A plugin is asked about it, until that is disposed: what this plugin wants of it meanwhile cannot wait for its end. */
  asks(plugin: string): Disposable {
    this.#asked.add(plugin);
    this.#waiting.get(plugin)?.resolve();
    this.#waiting.delete(plugin);
    return { [Symbol.dispose]: () => void this.#asked.delete(plugin) };
  }

  /**
   * Waits until it is pending no longer. False when there is no waiting for that: the signal fires, or the plugin for which
   * it is waited is asked about it.
   */
  async ended(plugin: string | undefined, signal: AbortSignal): Promise<boolean> {
    const end = this.#end.promise.then(() => true);
    if (plugin === undefined) return (await untilAborted(end, signal)) ?? false;
    if (this.#asked.has(plugin)) return false;
    const asked = this.#waiting.get(plugin) ?? Promise.withResolvers<void>();
    this.#waiting.set(plugin, asked);
    const either = Promise.race([end, asked.promise.then(() => false)]);
    return (await untilAborted(either, signal)) ?? false;
  }

  /** It will not come to be: nobody is told of it. */
  cancel(): void {
    this.make = () => undefined;
    this[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.#entries.delete(this);
    this.#end.resolve();
  }
}
