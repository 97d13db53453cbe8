// SPDX-License-Identifier: Apache-2.0

import { createServer, type Server, type Socket } from "node:net";
import type { Cancellable } from "../base/cancellable.ts";
import { fault, type RuntimeFault } from "../base/errors.ts";
import { MemoryPool } from "../base/memory/memory-pool.ts";
import { ourShares } from "../base/memory/memory-shares.ts";
import { onAbort } from "../base/on-abort.ts";
import { startTimer, type Timer, timeoutSignal } from "../base/timers.ts";
import { AnswerAdmission, type AnswerMemory, disposableOf } from "./answer-admission.ts";
import { GrpcCall } from "./grpc-call.ts";
import { type CallReport, requestsOf, ServedCall, sendAll } from "./grpc-calls.ts";
import { ServerConnection } from "./http2/server/server-connection.ts";
import type { ServerStream } from "./http2/server/server-stream.ts";
import type { CallContext, MethodName, ServiceImpl, ServiceName } from "./service.ts";
import { methodsOf, type ServiceMethod, unimplemented } from "./service-methods.ts";
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

/** A method as it is served. */
interface Served {
  readonly method: ServiceMethod;
  readonly handler: Handler;
  readonly endsAtShutdown: boolean;
  readonly isCostly: boolean;
  readonly isAlwaysTaken: boolean;
}

/** A socket that is listened on, and who has connected to it. */
interface Listening {
  readonly server: Server;
  readonly connections: Set<ServerConnection>;
}

const defaultLimitBytes = 16 * 1024 * 1024;
const drainMs = 5_000;
/** How long clients may take to read their last answers and to leave, once no call is served. */
const flushMs = 2_000;

/** One gRPC server on one unix socket or more, carrying any number of services. */
export class GrpcServer implements AsyncDisposable {
  readonly path: string;
  readonly #options: GrpcServerOptions;
  readonly #maxSendBytes: number;
  readonly #maxRecvBytes: number;
  readonly #memory: CallMemory;
  /** By path. */
  readonly #methods = new Map<string, Served>();
  readonly #admission: AnswerAdmission;
  readonly #calls = new Set<ServedCall>();
  /** Streams that are open, those among them that have not become a call yet. */
  #open = 0;
  readonly #listening = new Set<Listening>();
  /** Names of the sockets that are listened on; disposing takes a name away. */
  readonly #names = new Set<PublishedSocket>();
  #closing: Promise<void> | undefined;
  /** Set while closing: called when the last call has ended. */
  #onIdle: (() => void) | undefined;
  /** Likewise, when the last connection has. */
  #onDeserted: (() => void) | undefined;

  constructor(options: GrpcServerOptions) {
    this.path = options.path;
    this.#options = options;
    this.#maxSendBytes = options.maxSendBytes ?? defaultLimitBytes;
    this.#maxRecvBytes = options.maxRecvBytes ?? defaultLimitBytes;
    this.#memory = options.memory ?? ownMemory();
    this.#admission = new AnswerAdmission(this.#memory);
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
    for (const method of methodsOf(service)) {
      const handler: Handler =
        handlers[method.name]?.bind(impl) ??
        (() => {
          throw unimplemented(service, method.name);
        });
      this.#methods.set(method.path, {
        method,
        handler,
        endsAtShutdown: method.kind !== "unary" || among(endAtShutdown, method),
        isCostly: among(costly, method),
        isAlwaysTaken: among(always, method),
      });
    }
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
    const listening = await this.#bind(bindPathFor(file));
    using undo = new DisposableStack();
    undo.defer(() => this.#unbind(listening));
    this.#assertOpen();
    const { mode = 0o660, uid = 0, gid = 0 } = this.#options;
    const name = undo.use(publishSocket(file, { mode, uid, gid }));
    undo.defer(() => this.#names.delete(name));
    this.#names.add(name);
    return undo.move();
  }

  async #bind(path: string): Promise<Listening> {
    const connections = new Set<ServerConnection>();
    const server = createServer((socket) => this.#accept(socket, connections));
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once("error", reject);
    server.listen(path, resolve);
    await promise;
    // What an accept fails with concerns the client that was not accepted.
    server.on("error", () => {});
    const listening = { server, connections };
    this.#listening.add(listening);
    return listening;
  }

  /** Takes no new connection; those that there are end once their calls have. */
  #unbind(listening: Listening): void {
    listening.server.close();
    for (const connection of listening.connections) connection.shutDown();
    if (listening.connections.size === 0) this.#deserted(listening);
  }

  #deserted(listening: Listening): void {
    if (listening.server.listening) return;
    this.#listening.delete(listening);
    if (this.#listening.size === 0) this.#onDeserted?.();
  }

  #accept(socket: Socket, connections: Set<ServerConnection>): void {
    const connection = new ServerConnection(socket, {
      serve: (stream) => this.#serve(stream),
      closed: () => {
        connections.delete(connection);
        if (connections.size > 0) return;
        for (const listening of this.#listening) {
          if (listening.connections === connections) this.#deserted(listening);
        }
      },
    });
    connections.add(connection);
    if (this.#closing) connection.shutDown();
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
    const { promise: shut, resolve: shutAll } = Promise.withResolvers<void>();
    this.#onDeserted = shutAll;
    if (this.#listening.size === 0) shutAll();
    for (const listening of this.#listening) this.#unbind(listening);
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
    for (const { connections } of this.#listening) {
      for (const connection of connections) connection.destroy();
    }
  }

  #serve(stream: ServerStream): void {
    const { requests, maxCalls, onRefused } = this.#memory;
    const { path } = stream.headers;
    const known = this.#methods.get(path);
    const call = new GrpcCall(stream, {
      requests,
      maxRecvBytes: this.#maxRecvBytes,
      isBidi: known?.method.kind === "bidi",
      onRefused,
      begin: (begun, request) => known && this.#begin(begun, known, request),
    });
    if (call.isOver) return;
    if (!stream.headers.get("content-type")?.startsWith("application/grpc")) return call.notGrpc();
    if (known === undefined) {
      return call.fail(fault("UNIMPLEMENTED", `The server does not implement the method ${path}`));
    }
    if (this.#open >= maxCalls && !known.isAlwaysTaken) {
      const why = `${this.#open} calls are being served, as many as there is memory for: try again later, with fewer at once`;
      return call.refuse(requests.refuse(`call ${path}`, why));
    }
    this.#open += 1;
    call.onceOver(() => {
      this.#open -= 1;
    });
    call.start();
  }

  #begin(call: GrpcCall, known: Served, request: Buffer): void {
    const served = new ServedCall(call, known.method, known.endsAtShutdown);
    this.#calls.add(served);
    // Each settles the call itself; nothing is left to await.
    if (known.method.kind === "unary") void this.#answer(call, served, known, request);
    else void this.#stream(call, served, known, request);
  }

  async #answer(
    call: GrpcCall,
    served: ServedCall,
    { method, handler, isCostly }: Served,
    bytes: Buffer,
  ): Promise<void> {
    try {
      if (isCostly) this.#checkMemory(method);
      const request = served.decode(bytes);
      const make = async (): Promise<unknown> => await handler(request, served.context);
      const { answer, leastBytes } = await this.#admission.made(method, served, make);
      using _owned = disposableOf(answer);
      const encoded = served.encode(answer, this.#maxAnswerBytes(method), leastBytes);
      this.#end(served);
      call.answer(encoded);
    } catch (error) {
      call.fail(this.#end(served, error));
    }
  }

  /** A kubelet and crictl take no more in one message, whatever we may send. */
  #maxAnswerBytes({ service }: ServiceMethod): number {
    if (!service.startsWith("runtime.v1.")) return this.#maxSendBytes;
    return Math.min(this.#maxSendBytes, defaultLimitBytes);
  }

  async #stream(
    call: GrpcCall,
    served: ServedCall,
    { method, handler, isCostly }: Served,
    bytes: Buffer,
  ): Promise<void> {
    try {
      if (isCostly) this.#checkMemory(method);
      const request = method.kind === "bidi" ? requestsOf(call, served) : served.decode(bytes);
      const answers = handler(request, served.context) as AsyncIterable<unknown>;
      await sendAll(call, served, answers, {
        maxBytes: this.#maxAnswerBytes(method),
        memory: this.#memory.answers,
      });
      this.#end(served);
      call.finish();
    } catch (error) {
      call.fail(this.#end(served, error));
    }
  }

  #checkMemory({ path }: ServiceMethod): void {
    const shortage = this.#memory.shortage(`call ${path}`);
    if (shortage) throw shortage;
  }

  #end(served: ServedCall): void;
  #end(served: ServedCall, error: unknown): RuntimeFault | undefined;
  #end(served: ServedCall, ...thrown: readonly unknown[]): RuntimeFault | undefined {
    served.end();
    this.#calls.delete(served);
    if (this.#calls.size === 0) this.#onIdle?.();
    const failure = thrown.length > 0 ? served.faultOf(thrown[0]) : undefined;
    this.#options.onCall?.(served.report(failure));
    return failure;
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
