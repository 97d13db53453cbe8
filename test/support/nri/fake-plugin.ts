// SPDX-License-Identifier: Apache-2.0
import { connect } from "node:net";
import type { Duplex } from "node:stream";
import { fault } from "../../../src/base/errors.ts";
import { silentLogger } from "../../../src/base/logger.ts";
import { nextEvent } from "../../../src/base/waits.ts";
import type {
  ContainerUpdateInit,
  FailurePolicy,
  UpdateContainersResponse,
} from "../../../src/nri/messages.ts";
import { Multiplexer, StreamId } from "../../../src/nri/multiplexer.ts";
import type { ServiceClient, ServiceImpl } from "../../../src/rpc/service.ts";
import { TtrpcClient } from "../../../src/ttrpc/client.ts";
import { TtrpcRegistry } from "../../../src/ttrpc/registry.ts";
import { ServerConnection } from "../../../src/ttrpc/server.ts";
import { ttrpcServiceClient } from "../../../src/ttrpc/service-client.ts";

const pluginService = "nri.pkg.api.v1alpha1.Plugin";
const runtimeService = "nri.pkg.api.v1alpha1.Runtime";

const allButValidation = 0x1fff;

type PluginImpl = ServiceImpl<typeof pluginService>;
export type PluginMethod = keyof PluginImpl;
/** What a plugin does at a call; it answers an empty message where there is none. */
export type PluginHandlers = { [M in PluginMethod]?: NonNullable<PluginImpl[M]> };

const methods: readonly PluginMethod[] = [
  "Configure",
  "Synchronize",
  "Shutdown",
  "RunPodSandbox",
  "UpdatePodSandbox",
  "PostUpdatePodSandbox",
  "StopPodSandbox",
  "RemovePodSandbox",
  "CreateContainer",
  "PostCreateContainer",
  "StartContainer",
  "PostStartContainer",
  "UpdateContainer",
  "PostUpdateContainer",
  "StopContainer",
  "RemoveContainer",
  "StateChange",
  "ValidateContainerAdjustment",
];

export interface FakePluginOptions {
  /** "fake" when left out; the index is "10". */
  readonly name?: string;
  readonly index?: string;
  readonly version?: string;
  /** Bit N - 1 for event N; 0 for all. When left out, all but validation, and that too where `on` has it. */
  readonly events?: number;
  readonly failurePolicy?: FailurePolicy;
  readonly on?: PluginHandlers;
  /** Calls that it answers with Unimplemented, as plugins on an older stub do. */
  readonly lacks?: readonly PluginMethod[];
}

type RequestOf<M extends PluginMethod> = Parameters<NonNullable<PluginImpl[M]>>[0];

/** A call that a plugin got: its request is the decoded message. */
interface SeenCall {
  readonly method: PluginMethod;
  readonly request: unknown;
}

/**
 * An NRI plugin, in TypeScript. It speaks as Go's stub does: the same frames, the same handshake. Without handlers it
 * takes part in everything, answers each call with an empty message and gathers what it has seen.
 */
export class FakePlugin implements Disposable {
  /** In the order in which they came. A Synchronize in parts is one call for each part. */
  readonly calls: SeenCall[] = [];
  /** Settles when the runtime has closed the connection. */
  readonly closed: Promise<void>;
  /** The ids of the pods and containers that it was synchronized with. */
  readonly pods = new Set<string>();
  readonly containers = new Set<string>();
  /** What the runtime offers. */
  readonly runtime: ServiceClient<typeof runtimeService>;
  readonly #socket: Duplex;
  readonly #options: FakePluginOptions;
  readonly #synchronized = Promise.withResolvers<void>();
  readonly #waiting = new Set<() => void>();

  constructor(socket: Duplex, options: FakePluginOptions = {}) {
    this.#socket = socket;
    this.#options = options;
    const mux = new Multiplexer(socket);
    const registry = new TtrpcRegistry().register(pluginService, this.#service());
    const stream = mux.open(StreamId.plugin);
    const serving = new ServerConnection(
      stream,
      registry,
      silentLogger,
      new AbortController().signal,
    );
    stream.on("data", (chunk: Buffer) => serving.receive(chunk));
    stream.on("close", () => serving.end());
    this.runtime = ttrpcServiceClient(new TtrpcClient(mux.open(StreamId.runtime)), runtimeService);
    this.closed = mux.closed;
    void this.closed.then(() =>
      this.#synchronized.reject(fault("UNAVAILABLE", "runtime closed the connection")),
    );
    this.#synchronized.promise.catch(() => {});
  }

  /** Connects to the runtime's socket, registers, and waits until the runtime has synchronized it. */
  static async connect(path: string, options: FakePluginOptions = {}): Promise<FakePlugin> {
    const socket = connect({ path });
    await nextEvent(socket, ["connect"], AbortSignal.timeout(60_000));
    const plugin = new FakePlugin(socket, options);
    await plugin.start();
    return plugin;
  }

  get id(): string {
    return `${this.#options.index ?? "10"}-${this.#options.name ?? "fake"}`;
  }

  /** Registers, and waits until it is synchronized. */
  async start(): Promise<void> {
    await this.register();
    await this.#synchronized.promise;
  }

  async register(): Promise<void> {
    await this.runtime.RegisterPlugin({
      pluginName: this.#options.name ?? "fake",
      pluginIdx: this.#options.index ?? "10",
      NRIVersion: this.#options.version ?? "v0.12.5",
    });
  }

  async update(update: readonly ContainerUpdateInit[]): Promise<UpdateContainersResponse> {
    return this.runtime.UpdateContainers({ update });
  }

  /** The names of the calls so far, but those of the handshake. */
  seen(): readonly PluginMethod[] {
    return this.calls
      .map(({ method }) => method)
      .filter((method) => method !== "Configure" && method !== "Synchronize");
  }

  /** Waits for the nth call of this name; answers its request. */
  async got<M extends PluginMethod>(method: M, nth = 1): Promise<RequestOf<M>> {
    for (;;) {
      const call = this.calls.filter((seen) => seen.method === method)[nth - 1];
      if (call !== undefined) return call.request as RequestOf<M>;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiting.add(resolve);
      await Promise.race([promise, this.closed.then(() => this.#failGot(method))]);
      this.#waiting.delete(resolve);
    }
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }

  #failGot(method: string): never {
    throw fault("UNAVAILABLE", `connection was closed before ${method} came`);
  }

  #service(): PluginImpl {
    const lacks = new Set(this.#options.lacks ?? []);
    const served: Record<string, unknown> = {};
    for (const method of methods) {
      if (lacks.has(method)) continue;
      served[method] = async (request: object, context: unknown): Promise<unknown> => {
        this.calls.push({ method, request });
        for (const wake of this.#waiting) wake();
        return this.#answer(method, request, context);
      };
    }
    return served;
  }

  async #answer(method: PluginMethod, request: object, context: unknown): Promise<unknown> {
    const handle = this.#options.on?.[method] as
      | ((request: object, context: unknown) => Promise<unknown>)
      | undefined;
    const answer = await handle?.(request, context);
    if (method === "Configure") {
      const { events, failurePolicy } = this.#options;
      const own = this.#options.on?.ValidateContainerAdjustment ? 0 : allButValidation;
      return answer ?? { events: events ?? own, failurePolicy };
    }
    if (method === "Synchronize") return answer ?? this.#takePart(request as SynchronizePart);
    return answer ?? {};
  }

  #takePart({ pods, containers, more }: SynchronizePart): { readonly more: boolean } {
    for (const { id } of pods) this.pods.add(id);
    for (const { id } of containers) this.containers.add(id);
    if (!more) this.#synchronized.resolve();
    return { more };
  }
}

interface SynchronizePart {
  readonly pods: readonly { readonly id: string }[];
  readonly containers: readonly { readonly id: string }[];
  readonly more: boolean;
}
