// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import { fault } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import {
  type Plugin,
  type PluginContext,
  type PluginFacts,
  type PluginState,
  pluginUri,
} from "./plugin.ts";
import { providersOf, startOrder } from "./start-order.ts";

interface Entry {
  readonly type: string;
  readonly id: string;
  readonly requires: readonly string[];
  readonly plugin: Plugin<unknown>;
  state: PluginState;
  instance: unknown;
}

export interface StartOptions extends Cancellable {
  /** URIs of the plugins without which there is no daemon. */
  readonly vital: readonly string[];
}

/**
 * The plugins of a daemon: started in the order of what they require, stopped in reverse. A failing
 * `init` fails those that need it and nobody else; it stays visible with its error.
 */
export class PluginRegistry implements AsyncDisposable {
  readonly #log: Logger;
  #entries: Entry[] = [];
  #disposal: AsyncDisposableStack | undefined;

  constructor(log: Logger) {
    this.#log = log;
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

  /** Whether one of them has failed, or requires, over however many steps, what has. */
  #isLost(uris: readonly string[]): boolean {
    const known = new Map<Entry, boolean>();
    const isOff = (entry: Entry): boolean => {
      const before = known.get(entry);
      if (before !== undefined) return before;
      known.set(entry, false); // those that require each other fail by themselves
      const off =
        entry.state.kind === "failed" ||
        entry.requires.some((one) => providersOf(one, this.#entries).every(isOff));
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

  async #startOne(entry: Entry, call: Cancellable, disposal: AsyncDisposableStack): Promise<void> {
    const uri = pluginUri(entry);
    const missing = this.#missingOf(entry);
    if (missing) {
      entry.state = { kind: "failed", error: missing };
      this.#log.warn({ plugin: uri, reason: missing.message }, "plugin is off");
      return;
    }
    try {
      call.signal.throwIfAborted();
      entry.instance = await entry.plugin.init(this.#contextOf(entry, call));
      entry.state = { kind: "up" };
      disposal.defer(() => this.#stopOne(entry));
      this.#log.debug({ plugin: uri }, "plugin is up");
    } catch (error) {
      this.#fail(entry, error instanceof Error ? error : new Error(String(error)));
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
    if (isAsyncDisposable(instance)) await instance[Symbol.asyncDispose]();
    else if (isDisposable(instance)) instance[Symbol.dispose]();
  }

  /** Why the entry cannot start, when nothing that is up is what it requires. */
  #missingOf(entry: Entry): Error | undefined {
    for (const requirement of entry.requires) {
      const providers = providersOf(requirement, this.#entries);
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

  #contextOf(entry: Entry, call: Cancellable): PluginContext {
    return {
      signal: call.signal,
      get: (plugin) => {
        const uri = pluginUri(plugin);
        if (!entry.requires.includes(uri) && !entry.requires.includes(plugin.type)) {
          throw fault(
            "INTERNAL",
            `plugin "${pluginUri(entry)}" uses "${uri}" without requiring it`,
          );
        }
        return this.get(plugin);
      },
      all: (type) =>
        new Map(
          this.#entries
            .filter((one) => one.type === type && one.state.kind === "up")
            .map((one) => [one.id, one.instance]),
        ),
    };
  }
}

function isAsyncDisposable(value: unknown): value is AsyncDisposable {
  return typeof value === "object" && value !== null && Symbol.asyncDispose in value;
}

function isDisposable(value: unknown): value is Disposable {
  return typeof value === "object" && value !== null && Symbol.dispose in value;
}
