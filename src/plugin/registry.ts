// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import { fault } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import { logSlowWork } from "../base/slow-work.ts";
import { settlesWithin } from "../base/waits.ts";
import {
  type Plugin,
  type PluginContext,
  type PluginFacts,
  type PluginState,
  pluginUri,
  type UpPlugins,
} from "./plugin.ts";
import { providersOf, startOrder } from "./start-order.ts";

interface Entry {
  readonly type: string;
  readonly id: string;
  readonly requires: readonly string[];
  readonly plugin: Plugin<unknown>;
  state: PluginState;
  instance: unknown;
  /** What its `init` waits for, in its own words. */
  waitsFor: string;
}

/** What one plugin may take to start: the daemon can do without it, or cannot, or it is to stop. */
export interface PluginLimits {
  readonly startMs: number;
  readonly vitalStartMs: number;
  readonly stopMs: number;
}

/** The unit allows the whole start 10 minutes (TimeoutStartSec) and the whole stop 30 s. */
const usualLimits: PluginLimits = { startMs: 60_000, vitalStartMs: 300_000, stopMs: 25_000 };

export interface StartOptions extends Cancellable {
  /** URIs of the plugins without which there is no daemon. */
  readonly vital: readonly string[];
}

/**
 * The plugins of a daemon: started in the order of what they require, stopped in reverse. A failing
 * `init` fails those that need it and nobody else; it stays visible with its error.
 */
export class PluginRegistry implements UpPlugins, AsyncDisposable {
  readonly #log: Logger;
  readonly #limits: PluginLimits;
  #entries: Entry[] = [];
  /** Of each requirement: there are some hundred, and each start looks at all of them. */
  readonly #providers = new Map<string, readonly Entry[]>();
  #disposal: AsyncDisposableStack | undefined;

  constructor(log: Logger, limits: Partial<PluginLimits> = {}) {
    this.#log = log;
    this.#limits = { ...usualLimits, ...limits };
  }

  /** Before `start` only. */
  register<T>(plugin: Plugin<T>): void {
    if (this.#disposal) {
      throw fault(
        "FAILED_PRECONDITION",
        `cannot register plugin "${pluginUri(plugin)}": started already`,
      );
    }
    const { type, id, requires } = plugin;
    this.#entries.push({
      type,
      id,
      requires,
      plugin,
      state: { kind: "waiting" },
      instance: undefined,
      waitsFor: "",
    });
  }

  /**
   * Starts everything that can start. As soon as a vital plugin cannot start any more, because it or
   * what it stands on has failed, nothing else is started, what is up is stopped again, and the error
   * of the one that failed is thrown. INVALID_ARGUMENT for two plugins of one URI.
   */
  async start(options: StartOptions): Promise<void> {
    const { order, impossible } = startOrder(this.#entries);
    for (const uri of options.vital) {
      if (!order.some((entry) => pluginUri(entry) === uri)) {
        throw fault("INVALID_ARGUMENT", `vital plugin "${uri}" is not registered`);
      }
    }
    this.#entries = [...order];
    this.#disposal = new AsyncDisposableStack();
    for (const entry of order) {
      const error = impossible.get(entry);
      if (error) this.#fail(entry, error);
      else await this.#startOne(entry, options, this.#disposal);
      if (entry.state.kind === "failed" && this.#isLost(options.vital)) {
        await this[Symbol.asyncDispose]();
        throw entry.state.error;
      }
    }
  }

  /** Whether one of them has failed, or requires, over however many steps, what has; or would, `without` that one. */
  #isLost(uris: readonly string[], without?: Entry): boolean {
    const known = new Map<Entry, boolean>();
    const isOff = (entry: Entry): boolean => {
      const before = known.get(entry);
      if (before !== undefined) return before;
      known.set(entry, false); // those that require each other fail by themselves
      const off =
        entry.state.kind === "failed" ||
        entry === without ||
        entry.requires.some((one) => this.#providersOf(one).every(isOff));
      known.set(entry, off);
      return off;
    };
    return this.#entries.some((entry) => uris.includes(pluginUri(entry)) && isOff(entry));
  }

  /** The instance of a plugin that is up; FAILED_PRECONDITION otherwise. */
  get<T>(plugin: Plugin<T>): T {
    const entry = this.#entryOf(plugin);
    if (entry?.state.kind !== "up") {
      throw fault("FAILED_PRECONDITION", `plugin "${pluginUri(plugin)}" is not up`);
    }
    return entry.instance as T;
  }

  /** The instance of a plugin that the daemon can do without; undefined when it is not up. */
  find<T>(plugin: Plugin<T>): T | undefined {
    const entry = this.#entryOf(plugin);
    return entry?.state.kind === "up" ? (entry.instance as T) : undefined;
  }

  /** All plugins, in the order of their start once that is known. */
  list(): readonly PluginFacts[] {
    return this.#entries.map(({ plugin, state }) => ({
      type: plugin.type,
      id: plugin.id,
      requires: plugin.requires,
      exports: plugin.exports ?? {},
      capabilities: plugin.capabilities ?? [],
      state,
    }));
  }

  /** Stops in reverse order; one that fails to stop keeps nobody else from it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#disposal?.disposeAsync();
  }

  #entryOf(plugin: Plugin<unknown>): Entry | undefined {
    return this.#entries.find((one) => one.plugin === plugin);
  }

  async #startOne(entry: Entry, call: StartOptions, disposal: AsyncDisposableStack): Promise<void> {
    const uri = pluginUri(entry);
    const missing = this.#missingOf(entry);
    if (missing) {
      entry.state = { kind: "failed", error: missing };
      this.#log.warn({ plugin: uri, reason: missing.message }, "plugin is off");
      return;
    }
    try {
      call.signal.throwIfAborted();
      const from = performance.now();
      entry.instance = await this.#instanceOf(entry, call);
      entry.state = { kind: "up" };
      disposal.defer(() => this.#stopOne(entry));
      this.#log.debug({ plugin: uri, ms: Math.round(performance.now() - from) }, "plugin is up");
    } catch (error) {
      this.#fail(entry, error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** What `init` makes, in time. What comes too late is stopped when it comes. */
  async #instanceOf(entry: Entry, call: StartOptions): Promise<unknown> {
    const { startMs, vitalStartMs } = this.#limits;
    const limitMs = this.#isLost(call.vital, entry) ? vitalStartMs : startMs;
    const plugin = pluginUri(entry);
    const late = new AbortController();
    const signal = AbortSignal.any([call.signal, late.signal]);
    const fields = () => ({ plugin, waitsFor: entry.waitsFor });
    using _slow = logSlowWork({ log: this.#log, fields, message: "plugin is not up yet" });
    const starting = (async () => entry.plugin.start(this, contextOf(entry, { signal })))();
    if (await this.#settles(starting, limitMs, call)) return await starting;
    const error = call.signal.aborted ? (call.signal.reason as Error) : lateFault(entry, limitMs);
    late.abort(error);
    void starting.then(stop).catch(() => {}); // nobody waits for it any more
    throw error;
  }

  /** Whether it does in this time, of which an abort leaves what a stop may take. */
  async #settles(starting: Promise<unknown>, limitMs: number, call: Cancellable): Promise<boolean> {
    try {
      return await settlesWithin(starting, limitMs, call.signal);
    } catch {
      return settlesWithin(starting, this.#limits.stopMs);
    }
  }

  #fail(entry: Entry, error: Error): void {
    entry.state = { kind: "failed", error };
    this.#log.error({ plugin: pluginUri(entry), err: error }, "plugin has failed");
  }

  async #stopOne(entry: Entry): Promise<void> {
    entry.state = { kind: "stopped" };
    const { instance } = entry;
    entry.instance = undefined;
    const stopping = stop(instance);
    if (await settlesWithin(stopping, this.#limits.stopMs)) return stopping;
    stopping.catch(() => {});
    this.#log.error({ plugin: pluginUri(entry) }, "plugin does not stop, going on without it");
  }

  /** Once all are registered. */
  #providersOf(requirement: string): readonly Entry[] {
    const known = this.#providers.get(requirement);
    if (known !== undefined) return known;
    const found = providersOf(requirement, this.#entries);
    this.#providers.set(requirement, found);
    return found;
  }

  /** Why the entry cannot start, when nothing that is up is what it requires. */
  #missingOf(entry: Entry): Error | undefined {
    for (const requirement of entry.requires) {
      const providers = this.#providersOf(requirement);
      if (providers.some((provider) => provider.state.kind === "up")) continue;
      const failed = providers.find((provider) => provider.state.kind === "failed");
      return fault(
        "FAILED_PRECONDITION",
        `plugin "${pluginUri(entry)}" is off: "${failed ? pluginUri(failed) : requirement}" has failed`,
        { cause: failed?.state.kind === "failed" ? failed.state.error : undefined },
      );
    }
    return undefined;
  }
}

function contextOf(entry: Entry, { signal }: Cancellable): PluginContext {
  return {
    signal,
    waitsFor: (what) => {
      entry.waitsFor = what;
    },
  };
}

function lateFault({ waitsFor, plugin }: Entry, limitMs: number): Error {
  const what = waitsFor === "" ? "" : `, it waits for ${waitsFor}`;
  const text = `plugin "${pluginUri(plugin)}" is not up after ${limitMs / 1000} s${what}`;
  return fault("DEADLINE_EXCEEDED", text);
}

async function stop(instance: unknown): Promise<void> {
  if (isAsyncDisposable(instance)) await instance[Symbol.asyncDispose]();
  else if (isDisposable(instance)) instance[Symbol.dispose]();
}

function isAsyncDisposable(value: unknown): value is AsyncDisposable {
  return typeof value === "object" && value !== null && Symbol.asyncDispose in value;
}

function isDisposable(value: unknown): value is Disposable {
  return typeof value === "object" && value !== null && Symbol.dispose in value;
}
