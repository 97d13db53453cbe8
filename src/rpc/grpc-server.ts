// SPDX-License-Identifier: Apache-2.0

import {
  type MethodDefinition,
  Server,
  ServerCredentials,
  type sendUnaryData,
  type UntypedHandleCall,
} from "@grpc/grpc-js";
import type { Cancellable } from "../base/cancellable.ts";
import { fault, type RuntimeFault } from "../base/errors.ts";
import { MemoryPool } from "../base/memory/memory-pool.ts";
import { ourShares } from "../base/memory/memory-shares.ts";
import { onAbort } from "../base/on-abort.ts";
import { startTimer, type Timer, timeoutSignal } from "../base/timers.ts";
import { AnswerAdmission, type AnswerMemory, disposableOf } from "./answer-admission.ts";
import { beforeEachCall } from "./each-call.ts";
import {
  type AnyCall,
  type CallReport,
  requestsOf,
  ServedCall,
  type StreamCall,
  sendAll,
  type UnaryCall,
} from "./grpc-calls.ts";
import { allowLongDeadlines } from "./long-deadlines.ts";
import { MessageAdmission } from "./message-admission.ts";
import type { CallContext, MethodName, ServiceImpl, ServiceName } from "./service.ts";
import { methodsOf, type ServiceMethod, unimplemented } from "./service-methods.ts";
import { statusOf } from "./status.ts";
import {
  bindPathFor,
  claimSocketPath,
  type PublishedSocket,
  publishSocket,
} from "./unix-socket.ts";

export interface GrpcServerOptions {
  /** The unix socket's path. */
  readonly path: string;
  /** Default 0o660. */
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  /** Largest request taken and answer sent, in bytes; default 16 MiB each, as CRI clients expect. */
  readonly maxRecvBytes?: number;
  readonly maxSendBytes?: number;
  /** Called for every call when it has ended. Must not throw. */
  readonly onCall?: (report: CallReport) => void;
  /** What messages may take together; a budget by this process's memory by default. */
  readonly memory?: CallMemory;
}

/** The memory of calls: what they hold, and when there is none for more. */
export interface CallMemory extends AnswerMemory {
  readonly requests: MemoryPool;
  /** Calls at once. */
  readonly maxCalls: number;
  /** Called for a call that was refused before it was read. */
  readonly onRefused: (path: string, fault: RuntimeFault) => void;
}

/** What is special about methods of a service. */
export interface AddServiceOptions<S extends ServiceName> {
  /** They wait for something outside and so end when a shutdown begins (streams always do). */
  readonly endAtShutdown?: readonly MethodName<S>[];
  /**
   * They begin something that takes memory of its own, and are refused while that is short. What ends,
   * removes or lists things gives some back, and is not.
   */
  readonly costly?: readonly MethodName<S>[];
  /** They tell whether the daemon is well: taken while it is full of calls, and because it is. */
  readonly always?: readonly MethodName<S>[];
}

type Handler = (request: unknown, context: CallContext) => unknown;

const defaultLimitBytes = 16 * 1024 * 1024;
const drainMs = 5_000;
/** How long clients may take to read their last answers and to leave, once no call is served. */
const flushMs = 2_000;

/** One gRPC server on one unix socket or more, carrying any number of services. */
export class GrpcServer implements AsyncDisposable {
  readonly path: string;
  readonly #options: GrpcServerOptions;
  readonly #maxSendBytes: number;
  readonly #server: Server;
  readonly #memory: CallMemory;
  /** Methods with a stream, by path; likewise what `AddServiceOptions` tell of methods. */
  readonly #streams = new Set<string>();
  readonly #costly = new Set<string>();
  readonly #always = new Set<string>();
  readonly #admission: AnswerAdmission;
  readonly #calls = new Set<ServedCall>();
  /** Names of the sockets that are listened on; disposing takes a name away. */
  readonly #names = new Set<PublishedSocket>();
  #closing: Promise<void> | undefined;
  /** Set while closing: called when the last call has ended. */
  #onIdle: (() => void) | undefined;

  constructor(options: GrpcServerOptions) {
    this.path = options.path;
    this.#options = options;
    this.#maxSendBytes = options.maxSendBytes ?? defaultLimitBytes;
    this.#server = new Server({
      "grpc.max_receive_message_length": options.maxRecvBytes ?? defaultLimitBytes,
      // Ours is checked before sending, with a text that names the call.
      "grpc.max_send_message_length": -1,
      "grpc.enable_channelz": 0,
    });
    allowLongDeadlines(this.#server);
    this.#memory = options.memory ?? ownMemory();
    this.#admission = new AnswerAdmission(this.#memory);
    const admission = new MessageAdmission({
      ...this.#memory,
      maxRecvBytes: options.maxRecvBytes ?? defaultLimitBytes,
      always: this.#always,
      isStream: (path) => this.#streams.has(path),
    });
    beforeEachCall(this.#server, (stream, headers) => admission.watch(stream, headers));
  }

  /** Where it listens. */
  get sockets(): Iterable<PublishedSocket> {
    return this.#names;
  }

  /** Calls being served now. */
  get inFlight(): number {
    return this.#calls.size;
  }

  add<S extends ServiceName>(
    service: S,
    impl: ServiceImpl<S>,
    options: AddServiceOptions<S> = {},
  ): void {
    const { endAtShutdown = [], costly = [], always = [] } = options;
    const among = (names: readonly string[], { name }: ServiceMethod) => names.includes(name);
    const handlers = impl as Readonly<Record<string, Handler | undefined>>;
    const definition: Record<string, MethodDefinition<Buffer, Buffer>> = {};
    const callHandlers: Record<string, UntypedHandleCall> = {};
    for (const method of methodsOf(service)) {
      if (method.kind !== "unary") this.#streams.add(method.path);
      if (among(costly, method)) this.#costly.add(method.path);
      if (among(always, method)) this.#always.add(method.path);
      definition[method.name] = {
        path: method.path,
        requestStream: method.kind === "bidi",
        responseStream: method.kind !== "unary",
        // Messages stay bytes inside grpc-js; the codec is ours, and so are its errors.
        requestSerialize: identity,
        requestDeserialize: identity,
        responseSerialize: identity,
        responseDeserialize: identity,
      };
      const handler: Handler =
        handlers[method.name]?.bind(impl) ??
        (() => {
          throw unimplemented(service, method.name);
        });
      callHandlers[method.name] =
        method.kind === "unary"
          ? this.#unaryHandler(method, handler, among(endAtShutdown, method))
          : this.#streamHandler(method, handler);
    }
    this.#server.addService(definition, callHandlers);
  }

  /** Starts listening. Errors as `claimSocketPath`. */
  async listen(): Promise<void> {
    await this.listenAlso(this.path);
  }

  /**
   * Serves the same on a further socket, with the owner and mode of the first, until it is disposed or the
   * server closes. Connections of a disposed one end once their calls have. Errors as `claimSocketPath`.
   */
  async listenAlso(file: string): Promise<Disposable> {
    this.#assertOpen();
    await claimSocketPath(file);
    const port = `unix:${bindPathFor(file)}`;
    const credentials = ServerCredentials.createInsecure();
    await new Promise<void>((resolve, reject) => {
      this.#server.bindAsync(port, credentials, (error) => (error ? reject(error) : resolve()));
    });
    using undo = new DisposableStack();
    undo.defer(() => this.#server.unbind(port));
    this.#assertOpen();
    const { mode = 0o660, uid = 0, gid = 0 } = this.#options;
    const name = undo.use(publishSocket(file, { mode, uid, gid }));
    undo.defer(() => this.#names.delete(name));
    this.#names.add(name);
    return undo.move();
  }

  #assertOpen(): void {
    if (this.#closing) throw fault("FAILED_PRECONDITION", "cannot listen: server is closed");
  }

  /**
   * Takes no new call, ends streams and waits, lets the others finish until the signal fires (then
   * aborts them), and removes the socket. Idempotent.
   */
  close(call: Partial<Cancellable> = {}): Promise<void> {
    this.#closing ??= this.#drain(call.signal ?? timeoutSignal(drainMs));
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #drain(signal: AbortSignal): Promise<void> {
    for (const name of this.#names) name[Symbol.dispose]();
    // grpc-js never resolves it when a client leaves at this very moment.
    const shut = new Promise<void>((resolve) => this.#server.tryShutdown(() => resolve()));
    for (const served of this.#calls) if (served.endsAtShutdown) served.shutDown();
    const { promise: cut, resolve: cutOff } = Promise.withResolvers<void>();
    let timer: Timer | undefined;
    this.#onIdle = () => (timer ??= startTimer(cutOff, flushMs));
    if (this.#calls.size === 0) this.#onIdle();
    using _reaction = onAbort(signal, () => {
      for (const served of this.#calls) served.shutDown();
      timer?.stop();
      // The aborted handlers get one turn of the event loop to answer before their connections are closed.
      timer = startTimer(cutOff, 100);
    });
    await Promise.race([shut, cut]);
    timer?.stop();
    this.#server.forceShutdown();
  }

  #unaryHandler(
    method: ServiceMethod,
    handler: Handler,
    endsAtShutdown: boolean,
  ): UntypedHandleCall {
    return (call: UnaryCall, respond: sendUnaryData<Buffer>) => {
      const served = this.#begin(call, method, endsAtShutdown);
      const serve = async (): Promise<void> => {
        try {
          this.#checkMemory(method);
          const request = served.decode(call.request);
          const make = async (): Promise<unknown> => await handler(request, served.context);
          const { answer, leastBytes } = await this.#admission.made(method, served, make);
          using _owned = disposableOf(answer);
          const bytes = served.encode(answer, this.#maxAnswerBytes(method), leastBytes);
          this.#end(served);
          respond(null, bytes);
        } catch (error) {
          respond(this.#end(served, error));
        }
      };
      void serve(); // settles the call itself; nothing is left to await
    };
  }

  /** A kubelet and crictl take no more in one message, whatever we may send. */
  #maxAnswerBytes({ service }: ServiceMethod): number {
    if (!service.startsWith("runtime.v1.")) return this.#maxSendBytes;
    return Math.min(this.#maxSendBytes, defaultLimitBytes);
  }

  #streamHandler(method: ServiceMethod, handler: Handler): UntypedHandleCall {
    return (call: StreamCall) => {
      const served = this.#begin(call, method, true);
      const serve = async (): Promise<void> => {
        try {
          this.#checkMemory(method);
          const request =
            "request" in call ? served.decode(call.request) : requestsOf(call, served);
          const answers = handler(request, served.context) as AsyncIterable<unknown>;
          await sendAll(call, served, answers, {
            maxBytes: this.#maxAnswerBytes(method),
            memory: this.#memory.answers,
          });
          this.#end(served);
          call.end();
        } catch (error) {
          call.emit("error", this.#end(served, error));
        }
      };
      void serve(); // settles the call itself; nothing is left to await
    };
  }

  #checkMemory({ path }: ServiceMethod): void {
    if (!this.#costly.has(path)) return;
    const shortage = this.#memory.shortage(`call ${path}`);
    if (shortage) throw shortage;
  }

  #begin(call: AnyCall, method: ServiceMethod, endsAtShutdown: boolean): ServedCall {
    const served = new ServedCall(call, method, endsAtShutdown);
    this.#calls.add(served);
    return served;
  }

  #end(served: ServedCall): void;
  #end(served: ServedCall, error: unknown): { code: number; details: string };
  #end(served: ServedCall, ...thrown: readonly unknown[]): unknown {
    served.end();
    this.#calls.delete(served);
    if (this.#calls.size === 0) this.#onIdle?.();
    const failure = thrown.length > 0 ? served.faultOf(thrown[0]) : undefined;
    this.#options.onCall?.(served.report(failure));
    if (failure === undefined) return undefined;
    const { code, message } = statusOf(failure);
    return { code, details: message };
  }
}

function ownMemory(): CallMemory {
  const { requestBytes, answerBytes, calls } = ourShares();
  return {
    requests: new MemoryPool({ name: "requests", limitBytes: requestBytes }),
    answers: new MemoryPool({ name: "answers", limitBytes: answerBytes }),
    maxCalls: calls,
    shortage: () => undefined,
    onRefused: () => {},
  };
}

function identity(bytes: Buffer): Buffer {
  return bytes;
}
