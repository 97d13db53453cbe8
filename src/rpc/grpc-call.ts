// SPDX-License-Identifier: Apache-2.0
import { fault, type RuntimeFault } from "../base/errors.ts";
import type { MemoryPool } from "../base/memory/memory-pool.ts";
import { type OneTimer, startTimer } from "../base/timers.ts";
import { encodeHeaders } from "./http2/header-block.ts";
import { errorCodes } from "./http2/server/frames.ts";
import type { RequestHeaders } from "./http2/server/request-headers.ts";
import type { ServerStream, StreamOwner } from "./http2/server/server-stream.ts";
import { type MessageListener, MessageReader } from "./message-reader.ts";
import { statusOf } from "./status.ts";

export interface CallRules {
  /** Memory for requests. */
  readonly requests: MemoryPool;
  /** The largest request taken. */
  readonly maxRecvBytes: number;
  /** The client may send any number of messages. */
  readonly isBidi: boolean;
  /** How long a client may take to send a large message, and to read the one that answers it. Default 60000. */
  readonly transferMs?: number;
  /** Called for a call that there was no memory to read. */
  readonly onRefused: (path: string, reason: RuntimeFault) => void;
  /** Called once: with the request when it is whole, or at once for a call of which messages are read one by one. */
  readonly begin: (call: GrpcCall, request: Buffer) => void;
}

const defaultTransferMs = 60_000;
/** Answers below this are not watched. */
const smallBytes = 16 * 1024;
/** Messages of a stream that may wait for the client, small ones. */
const mostWaiting = 16;

/** `:status 200`, which is a field of the static table. */
const status200 = Buffer.of(0x88);
const contentType = encodeHeaders([["content-type", "application/grpc"]]);
const head = Buffer.concat([
  status200,
  contentType,
  encodeHeaders([["grpc-accept-encoding", "identity,deflate,gzip"]]),
]);
const okTrailers = encodeHeaders([["grpc-status", "0"]]);
const unsupportedMedia = encodeHeaders([[":status", "415"]]);

/** A call as gRPC has it, on a stream of HTTP/2: messages, a deadline, and a status at the end. */
export class GrpcCall implements StreamOwner, MessageListener {
  readonly #stream: ServerStream;
  readonly #rules: CallRules;
  readonly #reader: MessageReader;
  /** A unary call's; of a bidi call's what nobody has asked for yet. */
  #request: Buffer | undefined;
  #isOver = false;
  #deadline: OneTimer | undefined;
  #hasDeadlinePassed = false;
  #transfer: OneTimer | undefined;
  #waiting = 0;
  #hasEnded = false;
  #onMessage: (() => void) | undefined;
  readonly #overListeners: (() => void)[] = [];

  constructor(stream: ServerStream, rules: CallRules) {
    this.#stream = stream;
    this.#rules = rules;
    const { requests, maxRecvBytes, isBidi, transferMs = defaultTransferMs } = rules;
    const encoding = stream.headers.get("grpc-encoding") ?? "identity";
    const { path } = stream.headers;
    this.#reader = new MessageReader(
      { path, requests, maxRecvBytes, isStream: isBidi, encoding, transferMs },
      this,
    );
    stream.owner = this;
    this.#startDeadline();
  }

  get headers(): RequestHeaders {
    return this.#stream.headers;
  }

  /** The client has the answer, or has gone. */
  get isOver(): boolean {
    return this.#isOver;
  }

  get hasDeadlinePassed(): boolean {
    return this.#hasDeadlinePassed;
  }

  /** Called when the call is over; at once when it is. */
  onceOver(listener: () => void): void {
    if (this.#isOver) listener();
    else this.#overListeners.push(listener);
  }

  /** The messages of the client, until it has no more. */
  async *messages(signal: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
    for (;;) {
      signal.throwIfAborted();
      this.#reader.want();
      while (this.#request === undefined && !this.#hasEnded && !this.#isOver) {
        const { promise, resolve } = Promise.withResolvers<void>();
        this.#onMessage = resolve;
        await promise;
      }
      signal.throwIfAborted();
      const message = this.#request;
      this.#request = undefined;
      if (message === undefined) return;
      yield message;
    }
  }

  /** Has it served: once its request is whole, or from now on where it has many messages. */
  start(): void {
    if (this.#rules.isBidi && !this.#isOver) this.#rules.begin(this, none);
  }

  /** Tells the client that its call was accepted, before there is an answer. */
  accept(): void {
    this.#stream.respond(head);
  }

  /** Answers with the only message. */
  answer(message: Buffer): void {
    this.accept();
    this.#write(message);
    this.#stream.finish(okTrailers);
    if (message.length < smallBytes || this.#isOver) return;
    const ms = this.#rules.transferMs ?? defaultTransferMs;
    this.#transfer = startTimer(() => {
      const why = `the client did not read its answer in ${ms / 1000} s`;
      this.refuse(this.#rules.requests.refuse(`call ${this.headers.path}`, why));
    }, ms).unref();
  }

  /** Answers with one message of many. Undefined where the next one may follow at once; else resolves when it may. */
  send(message: Buffer, isLarge: boolean): Promise<void> | undefined {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting += 1;
    this.#write(message, () => {
      this.#waiting -= 1;
      resolve();
    });
    return this.#waiting === 0 || (!isLarge && this.#waiting < mostWaiting) ? undefined : promise;
  }

  /** Ends an answer of many messages. */
  finish(): void {
    this.#stream.respond(head);
    this.#stream.finish(okTrailers);
  }

  /** Ends the call with a failure. */
  fail(reason: unknown): void {
    const { code, message } = statusOf(reason);
    const status = [
      encodeHeaders([["grpc-status", `${code}`]]),
      encodeHeaders([["grpc-message", encodeURI(message.toWellFormed())]]),
    ];
    const first = this.#stream.hasHead ? [] : [status200, contentType];
    this.#stream.finish(Buffer.concat([...first, ...status]));
  }

  /** Ends a call that is none of gRPC. */
  notGrpc(): void {
    this.#stream.finish(unsupportedMedia);
  }

  /** Ends the call for lack of memory, as gRPC does when there is nothing but a status. */
  refuse(reason: RuntimeFault): void {
    if (this.#isOver) return;
    if (this.#stream.hasHead) this.#stream.reset(errorCodes.cancel);
    else this.fail(reason);
    this.#rules.onRefused(this.headers.path, reason);
  }

  data(chunk: Buffer): void {
    this.#reader.push(chunk);
  }

  end(): void {
    this.#reader.end();
  }

  closed(): void {
    this.#isOver = true;
    this.#reader.close();
    this.#deadline?.stop();
    this.#transfer?.stop();
    this.#onMessage?.();
    this.#request = undefined;
    for (const listener of this.#overListeners.splice(0)) listener();
  }

  message(bytes: Buffer): void {
    if (this.#request !== undefined) {
      const what = `Received a second request message for server streaming method ${this.headers.path}`;
      return this.fail(fault("UNIMPLEMENTED", what));
    }
    this.#request = bytes;
    this.#onMessage?.();
  }

  allRead(): void {
    this.#hasEnded = true;
    if (this.#rules.isBidi) this.#onMessage?.();
    else if (this.#request === undefined) {
      const what = `Received no request message for server streaming method ${this.headers.path}`;
      this.fail(fault("UNIMPLEMENTED", what));
    } else this.#rules.begin(this, this.#request);
  }

  consumed(bytes: number): void {
    this.#stream.consumed(bytes);
  }

  unreadable(reason: RuntimeFault, isRefusal: boolean): void {
    if (isRefusal) this.refuse(reason);
    else this.fail(reason);
  }

  #write(message: Buffer, sent?: () => void): void {
    const bytes = Buffer.allocUnsafe(prefixBytes + message.length);
    bytes[0] = 0;
    bytes.writeUInt32BE(message.length, 1);
    message.copy(bytes, prefixBytes);
    this.#stream.write(bytes, sent);
  }

  #startDeadline(): void {
    const timeout = this.headers.get("grpc-timeout");
    if (timeout === undefined) return;
    const ms = timeoutMs(timeout);
    if (ms === undefined) {
      this.fail(fault("INTERNAL", `Invalid grpc-timeout value "${timeout}"`));
      return;
    }
    this.#deadline = startTimer(() => {
      this.#hasDeadlinePassed = true;
      this.fail(fault("DEADLINE_EXCEEDED", "Deadline exceeded"));
      // A client that reads nothing does not get it.
      if (!this.#isOver) this.#stream.reset(errorCodes.cancel);
    }, ms);
  }
}

const none = Buffer.alloc(0);
const prefixBytes = 5;

const unitsToMs: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};

function timeoutMs(value: string): number | undefined {
  const match = /^(\d{1,8})\s*([HMSmun])$/.exec(value);
  return match === null ? undefined : Number(match[1]) * (unitsToMs[match[2] ?? ""] ?? 0);
}
