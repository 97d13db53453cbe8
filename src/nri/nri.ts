// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import { fault } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import { within } from "../base/waits.ts";
import type { PublishedSocket } from "../rpc/unix-socket.ts";
import type { AskedHalf } from "./asked-half.ts";
import { LaunchedPlugins } from "./launched-plugins.ts";
import type { ContainerUpdate } from "./messages.ts";
import type { Validate } from "./node-plugins.ts";
import { once } from "./once.ts";
import { Pending } from "./pending.ts";
import type { PendingObjects } from "./plugin-set.ts";
import { type Admits, PluginSocket } from "./plugin-socket.ts";
import type {
  CallWatch,
  Creation,
  MissingPlugin,
  NodePlugins,
  NodeState,
  PluginReport,
  UpdateOutcome,
} from "./ports.ts";
import { asksWithoutPlugins, type NriSettings, requiredPlugins } from "./settings.ts";

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

export function createNri(options: NriOptions): Nri {
  return new StartedNri(options);
}

/**
 * As long as nobody has connected and nothing is required it has only the socket, and what is being made: the code that
 * asks plugins is loaded when the first one comes.
 */
class StartedNri implements Nri {
  readonly #options: NriOptions;
  readonly #pending: PendingObjects = { pods: new Pending(), containers: new Pending() };
  readonly #life = new AbortController();
  readonly #open = new AsyncDisposableStack();
  #settings: NriSettings;
  #socket: PluginSocket | undefined;
  #half: AskedHalf | undefined;
  #loading: Promise<AskedHalf> | undefined;

  constructor(options: NriOptions) {
    this.#options = options;
    this.#settings = options.settings;
  }

  get active(): boolean {
    return this.#half?.plugins.active ?? asksWithoutPlugins(this.#settings);
  }

  async createContainer(
    ...[request, call]: Parameters<NodePlugins["createContainer"]>
  ): Promise<Creation> {
    if (this.#half !== undefined || this.active) {
      const { plugins } = this.#half ?? (await this.#load());
      return plugins.createContainer(request, call);
    }
    const made = once(request);
    const entry = this.#pending.containers.add(() => made().container);
    const end = { [Symbol.dispose]: () => entry[Symbol.dispose]() };
    return { adjust: undefined, updates: [], owners: undefined, ...end };
  }

  async runPodSandbox(
    ...[pod, call]: Parameters<NodePlugins["runPodSandbox"]>
  ): Promise<Disposable> {
    return this.#half
      ? this.#half.plugins.runPodSandbox(pod, call)
      : this.#pending.pods.add(once(pod));
  }

  async updateContainer(
    ...args: Parameters<NodePlugins["updateContainer"]>
  ): Promise<UpdateOutcome> {
    return (
      this.#half?.plugins.updateContainer(...args) ??
      Promise.resolve({ resources: undefined, updates: [] })
    );
  }

  async updatePodSandbox(...args: Parameters<NodePlugins["updatePodSandbox"]>): Promise<void> {
    await this.#half?.plugins.updatePodSandbox(...args);
  }

  async stopContainer(
    ...args: Parameters<NodePlugins["stopContainer"]>
  ): Promise<readonly ContainerUpdate[]> {
    return this.#half?.plugins.stopContainer(...args) ?? Promise.resolve([]);
  }

  async tell(...args: Parameters<NodePlugins["tell"]>): Promise<void> {
    await this.#half?.plugins.tell(...args);
  }

  list(): readonly PluginReport[] {
    return this.#half?.plugins.list() ?? [];
  }

  missing(): readonly MissingPlugin[] {
    const never = (name: string): MissingPlugin => ({ name, reason: "" });
    return this.#half?.plugins.missing() ?? requiredPlugins(this.#settings).map(never);
  }

  async start(call: Cancellable): Promise<void> {
    const { socketPath, disableConnections, registrationTimeoutMs, requestTimeoutMs } =
      this.#settings;
    const { log } = this.#options;
    const set: Admits = {
      admit: async (socket, origin, own) => {
        const half = this.#half ?? (await this.#load());
        if (socket.destroyed) throw fault("UNAVAILABLE", "plugin has closed its connection");
        return half.set.admit(socket, origin, own);
      },
    };
    const launched = this.#open.use(new LaunchedPlugins({ ...this.#settings, set, log }));
    if (!disableConnections) {
      try {
        this.#socket = this.#open.use(await PluginSocket.listen(socketPath, set, log));
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
    this.#settings = settings;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#life.abort();
    this.#half?.set[Symbol.dispose]();
    await this.#open.disposeAsync();
  }

  #load(): Promise<AskedHalf> {
    this.#loading ??= import("./asked-half.ts").then(
      ({ createAskedHalf }) => {
        const half = createAskedHalf(this.#options, () => this.#settings, this.#pending);
        if (this.#life.signal.aborted) half.set[Symbol.dispose]();
        this.#half = half;
        return half;
      },
      (error: unknown) => {
        this.#loading = undefined; // there may have been too many open files
        throw error;
      },
    );
    return this.#loading;
  }
}
