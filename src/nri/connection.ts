// SPDX-License-Identifier: Apache-2.0
import type { Duplex } from "node:stream";
import type { Cancellable } from "../base/cancellable.ts";
import { fault } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import { unlessAborted } from "../base/waits.ts";
import { codec, type MessageName, methodShapes } from "../rpc/codec.ts";
import type { ServiceImpl, Services } from "../rpc/service.ts";
import { TtrpcClient } from "../ttrpc/client.ts";
import { maxPayloadBytes } from "../ttrpc/frame.ts";
import { TtrpcRegistry } from "../ttrpc/registry.ts";
import { ServerConnection } from "../ttrpc/server.ts";
import { type PluginCall, pluginService, runtimeService } from "./calls.ts";
import type {
  RegisterPluginRequest,
  UpdateContainersRequest,
  UpdateContainersResponseInit,
} from "./messages.ts";
import { Multiplexer, StreamId } from "./multiplexer.ts";
import { checkPluginName } from "./plugin-name.ts";

type Calls = Services[typeof pluginService];
export type RequestInit<M extends PluginCall> = Calls[M]["reqInit"];
export type Response<M extends PluginCall> = Calls[M]["res"];

/** Of one message, those of nested ones too. News of 10,000 containers has some 150,000. */
const mostFields = 200_000;
/** What ttrpc takes, but for the envelope around a request. */
export const mostRequestBytes = maxPayloadBytes - 1024;
const limits = { openCalls: 4, fields: mostFields };

export interface ConnectionNeeds {
  /** What is done with updates that nobody asked for. */
  readonly update: (
    request: UpdateContainersRequest,
    call: Cancellable,
  ) => Promise<UpdateContainersResponseInit>;
  readonly log: Logger;
}

/**
 * A plugin's connection, both its streams. Whatever comes on it that is no frame, message or answer ends it: `closed`
 * settles, and every call that waits fails with UNAVAILABLE.
 */
export class PluginConnection implements Disposable {
  /** Settles, never rejects, when the connection is gone, for whatever reason. */
  readonly closed: Promise<void>;
  readonly #mux: Multiplexer;
  readonly #client: TtrpcClient;
  readonly #needs: ConnectionNeeds;
  readonly #registration = Promise.withResolvers<RegisterPluginRequest>();
  readonly #gone = new AbortController();
  #hasRegistered = false;

  constructor(socket: Duplex, needs: ConnectionNeeds) {
    this.#needs = needs;
    this.#mux = new Multiplexer(socket);
    this.closed = this.#mux.closed;
    this.#client = new TtrpcClient(this.#mux.open(StreamId.plugin));
    this.#registration.promise.catch(() => {});
    this.#serve(this.#mux.open(StreamId.runtime));
    void this.closed.then(() => {
      const gone = fault("UNAVAILABLE", "plugin has closed its connection");
      this.#gone.abort(gone);
      this.#registration.reject(gone);
    });
  }

  get isClosed(): boolean {
    return this.#client.isClosed;
  }

  /**
   * Waits until the plugin has told its name. INVALID_ARGUMENT when there is something wrong with it, UNAVAILABLE when the
   * connection ends before.
   */
  registered(call: Cancellable): Promise<RegisterPluginRequest> {
    return unlessAborted(this.#registration.promise, call.signal);
  }

  /**
   * Asks the plugin. Waits for as long as it takes: the connection is the end of it. AnsweredFault for what the plugin
   * has refused with; everything else means that the connection is no good.
   */
  async call<M extends PluginCall>(method: M, payload: Uint8Array): Promise<Response<M>> {
    const { answered } = messagesOf(method);
    const answer = await this.#client.call(pluginService, method, payload);
    const type = codec(answered);
    if (mostFields < answer.length && type.countFields(answer, mostFields) > mostFields) {
      throw fault("RESOURCE_EXHAUSTED", `answer of ${method} has more than ${mostFields} fields`);
    }
    try {
      return type.decode(answer);
    } catch (error) {
      throw fault("INTERNAL", `answer of ${method} is malformed`, { cause: error });
    }
  }

  [Symbol.dispose](): void {
    this.#mux[Symbol.dispose]();
  }

  #serve(stream: Duplex): void {
    const service: ServiceImpl<typeof runtimeService> = {
      RegisterPlugin: async (request) => {
        this.#register(request);
        return {};
      },
      UpdateContainers: async (request, { signal }) => {
        // Its place in the order is that of the calls which it has been sent.
        if (!this.#hasRegistered) throw fault("FAILED_PRECONDITION", "plugin is not registered");
        return this.#needs.update(request, { signal });
      },
    };
    const registry = new TtrpcRegistry(limits).register(runtimeService, service);
    const { log } = this.#needs;
    const serving = new ServerConnection(stream, registry, log, this.#gone.signal);
    stream.on("data", (chunk: Buffer) => serving.receive(chunk));
    stream.on("close", () => serving.end());
  }

  #register(request: RegisterPluginRequest): void {
    if (this.#hasRegistered) throw fault("FAILED_PRECONDITION", "plugin has registered already");
    this.#hasRegistered = true;
    try {
      checkPluginName({ index: request.pluginIdx, name: request.pluginName });
    } catch (error) {
      this.#registration.reject(error);
      throw error;
    }
    this.#registration.resolve(request);
  }
}

/**
 * The bytes of a request. RESOURCE_EXHAUSTED when they are more than a message may have: containers can be that large,
 * by what is in their image.
 */
export function encodeCall<M extends PluginCall>(method: M, request: RequestInit<M>): Buffer {
  const payload = codec(messagesOf(method).asked).encode(request);
  if (payload.length <= mostRequestBytes) return payload;
  throw fault(
    "RESOURCE_EXHAUSTED",
    `NRI's ${method} would have ${payload.length} bytes, more than the ${mostRequestBytes} that plugins take`,
  );
}

const pluginMethods = methodShapes(pluginService);

function messagesOf(method: PluginCall): { asked: MessageName; answered: MessageName } {
  const shape = pluginMethods.find(({ name }) => name === method);
  return { asked: shape?.request as MessageName, answered: shape?.response as MessageName };
}
