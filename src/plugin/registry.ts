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
   * Starts everything that can start. When a vital plugin fails, for whatever reason, what is up is
   * stopped again and its error is thrown. INVALID_ARGUMENT for two plugins of one URI.
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
      if (entry.state.kind === "failed" && options.vital.includes(pluginUri(entry))) {
        await this[Symbol.asyncDispose]();
        throw entry.state.error;
      }
    }
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
    try {
      call.signal.throwIfAborted();
      this.#checkRequirements(entry);
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

  #checkRequirements(entry: Entry): void {
    for (const requirement of entry.requires) {
      const providers = providersOf(requirement, this.#entries);
      if (providers.some((provider) => provider.state.kind === "up")) continue;
      const failed = providers.find((provider) => provider.state.kind === "failed");
      throw fault(
        "FAILED_PRECONDITION",
        `plugin "${pluginUri(entry)}" is off: "${failed ? pluginUri(failed) : requirement}" has failed`,
        { cause: failed?.state.kind === "failed" ? failed.state.error : undefined },
      );
    }
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
