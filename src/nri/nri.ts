// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import type { Logger } from "../base/logger.ts";
import { within } from "../base/waits.ts";
import type { PublishedSocket } from "../rpc/unix-socket.ts";
import { LaunchedPlugins } from "./launched-plugins.ts";
import { validateByDefault } from "./merge/validate-by-default.ts";
import { AskedPlugins, type Validate } from "./node-plugins.ts";
import { PluginSet } from "./plugin-set.ts";
import { PluginSocket } from "./plugin-socket.ts";
import type { CallWatch, NodePlugins, NodeState } from "./ports.ts";
import type { NriSettings } from "./settings.ts";

export interface NriOptions {
  readonly settings: NriSettings;
  readonly node: NodeState;
  /** What plugins are told about this runtime. */
  readonly runtime: { readonly name: string; readonly version: string };
  readonly log: Logger;
  readonly validate?: Validate;
  readonly watch?: CallWatch;
}

/** The node's plugins, with their socket and the programs among them. */
export interface Nri extends NodePlugins, AsyncDisposable {
  /**
   * Opens the socket and starts the programs; settles when these take part, are late, or never will. A socket that cannot be
   * had is for the log: somebody else may have it.
   */
  start(call: Cancellable): Promise<void>;
  /** Where plugins connect; undefined where there is no such socket. */
  readonly socket: PublishedSocket | undefined;
  /** All but the paths, which are read at the start. */
  reload(settings: NriSettings): void;
}

export function createNri({
  node,
  runtime,
  log,
  validate = validateByDefault,
  ...options
}: NriOptions): Nri {
  return new StartedNri({ node, runtime, log, validate, ...options });
}

class StartedNri extends AskedPlugins implements Nri {
  readonly #current: { settings: NriSettings };
  readonly #set: PluginSet;
  readonly #log: Logger;
  readonly #life = new AbortController();
  readonly #open = new AsyncDisposableStack();
  #socket: PluginSocket | undefined;

  constructor({
    settings,
    node,
    runtime,
    log,
    validate,
    watch,
  }: NriOptions & Required<Pick<NriOptions, "validate">>) {
    const current = { settings };
    const needs = { settings: () => current.settings, log };
    const set = new PluginSet({ ...needs, node, runtime, watch });
    super({ ...needs, set, validate });
    this.#current = current;
    this.#set = set;
    this.#log = log;
  }

  async start(call: Cancellable): Promise<void> {
    const { settings } = this.#current;
    const { socketPath, disableConnections, registrationTimeoutMs, requestTimeoutMs } = settings;
    const log = this.#log;
    const launched = this.#open.use(new LaunchedPlugins({ ...settings, set: this.#set, log }));
    this.#open.use(this.#set);
    if (!disableConnections) {
      try {
        this.#socket = this.#open.use(await PluginSocket.listen(socketPath, this.#set, log));
      } catch (err) {
        log.warn({ socket: socketPath, err }, "there is no NRI socket: plugins cannot connect");
      }
    }
    const started = launched.start({ signal: this.#life.signal });
    await within(started, registrationTimeoutMs + requestTimeoutMs, call.signal);
  }

  get socket(): PublishedSocket | undefined {
    return this.#socket?.published;
  }

  reload(settings: NriSettings): void {
    this.#current.settings = settings;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#life.abort();
    this.#set[Symbol.dispose]();
    await this.#open.disposeAsync();
  }
}
