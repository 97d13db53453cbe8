// SPDX-License-Identifier: Apache-2.0
import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import { type RuntimeFault, toFault } from "../base/errors.ts";
import type { MemoryPool, Reservation } from "../base/memory/memory-pool.ts";
import { type OneTimer, startTimer } from "../base/timers.ts";
import { statusOf } from "./status.ts";

export interface AdmissionOptions {
  /** Memory for messages while they arrive and are worked on. */
  readonly requests: MemoryPool;
  /** The largest request taken; what is larger is refused by grpc-js, with its usual text. */
  readonly maxRecvBytes: number;
  /** Calls at once; what comes then is refused, but for `always`. */
  readonly maxCalls: number;
  /** Paths of calls that are taken whatever is going on: `/runtime.v1.RuntimeService/Version`. */
  readonly always: ReadonlySet<string>;
  /** Paths of calls with streams: each request is done with when the next is asked for. */
  readonly isStream: (path: string) => boolean;
  /** How long a client may take to send a large message, and to read the one that answers it. Default 60000. */
  readonly transferMs?: number;
  /** Called for a call that was refused here, before any handler. */
  readonly onRefused?: (path: string, fault: RuntimeFault) => void;
}

/** Messages below this are not counted: there are as many as there are calls. */
const smallBytes = 16 * 1024;
const prefixBytes = 5;
/** Of one request to be worked on: its bytes, the objects that they become, and what is made of those. */
const unaryCopies = 4;
/** gzip inflates no further. */
const inflation = 1032;

/**
 * Counts the bytes of requests before they are read. A message begins with its length, so what it will take
 * is known from its first bytes; while there is no memory for it, its stream is left alone, and HTTP/2's
 * flow control stops the client after 64 KiB. What does not get its share in time is refused.
 */
export class MessageAdmission {
  readonly #options: AdmissionOptions;
  #calls = 0;

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  /** Calls that are open now. */
  get calls(): number {
    return this.#calls;
  }

  /** Counts the messages of a new call's stream; for `beforeEachCall`. */
  watch(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    const path = headers[":path"] ?? "";
    const { requests, maxCalls, always } = this.#options;
    const gate = new StreamGate(stream, path, this.#options);
    gate.stand();
    if (this.#calls >= maxCalls && !always.has(path)) {
      const why = `${this.#calls} calls are being served, as many as there is memory for: try again later, with fewer at once`;
      gate.refuse(requests.refuse(`call ${path}`, why));
      return;
    }
    this.#calls += 1;
    stream.once("close", () => {
      this.#calls -= 1;
    });
  }
}

type DataListener = (chunk: Buffer) => void;

/** Stands between a stream and grpc-js. */
class StreamGate {
  readonly #stream: ServerHttp2Stream;
  readonly #path: string;
  readonly #options: AdmissionOptions;
  #isClosed = false;
  /** Of the message that waits for its share: few ever do. */
  #abort: AbortController | undefined;
  /** What of a message's prefix has come, and what of its body has not. */
  readonly #prefix = Buffer.alloc(prefixBytes);
  #prefixLength = 0;
  #bodyLeft = 0;
  /** grpc-js wants to read on, but a message waits for its share. */
  #isHeld = false;
  #wantsData = false;
  #isRefused = false;
  #held: Reservation[] = [];
  #transfer: OneTimer | undefined;
  readonly #pause: () => ServerHttp2Stream;
  readonly #resume: () => ServerHttp2Stream;

  constructor(stream: ServerHttp2Stream, path: string, options: AdmissionOptions) {
    this.#stream = stream;
    this.#path = path;
    this.#options = options;
    this.#pause = stream.pause.bind(stream);
    this.#resume = stream.resume.bind(stream);
  }

  stand(): void {
    const stream = this.#stream;
    const on = stream.on.bind(stream);
    const write = stream.write.bind(stream) as (...args: unknown[]) => boolean;
    Object.assign(stream, {
      on: (event: string, listener: (...args: unknown[]) => void) => {
        if (event !== "data") return on(event, listener);
        return on("data", (chunk: Buffer) => this.#take(chunk, listener as DataListener));
      },
      pause: () => {
        this.#wantsData = false;
        return this.#pause();
      },
      resume: () => this.#wanted(),
      write: (chunk: Buffer, written?: (error?: Error | null) => void) => {
        if (chunk.length < smallBytes || this.#options.isStream(this.#path)) {
          return write(chunk, written);
        }
        this.#watchTransfer("did not read its answer");
        return write(chunk, (error?: Error | null) => {
          this.#transferred();
          written?.(error);
        });
      },
    });
    on("close", () => {
      this.#isClosed = true;
      this.#abort?.abort();
      this.#transferred();
      this.#giveBack();
    });
  }

  #wanted(): ServerHttp2Stream {
    this.#wantsData = true;
    if (this.#options.isStream(this.#path) && this.#bodyLeft === 0) this.#giveBack();
    if (this.#isHeld) return this.#stream;
    return this.#resume();
  }

  #take(chunk: Buffer, pass: DataListener): void {
    if (this.#isRefused) return;
    const bytes = this.#bytesOfNewMessages(chunk);
    if (bytes === 0) {
      if (this.#bodyLeft === 0) this.#transferred();
      pass(chunk);
      return;
    }
    const taken = this.#options.requests.tryTake(bytes);
    if (taken) {
      this.#keep(taken);
      pass(chunk);
      return;
    }
    this.#isHeld = true;
    this.#wantsData = true;
    this.#pause();
    void this.#waitFor(bytes, chunk, pass);
  }

  async #waitFor(bytes: number, chunk: Buffer, pass: DataListener): Promise<void> {
    const what = `call ${this.#path} with a message of ${bytes} bytes`;
    const { signal } = (this.#abort ??= new AbortController());
    try {
      this.#keep(await this.#options.requests.take(bytes, what, { signal }));
      this.#isHeld = false;
      pass(chunk);
      if (this.#wantsData) this.#resume();
    } catch (error) {
      this.#isHeld = false;
      if (this.#isClosed) this.#resume();
      else this.refuse(toFault(error));
    }
  }

  #keep(reservation: Reservation): void {
    if (this.#isClosed) return reservation[Symbol.dispose]();
    this.#held.push(reservation);
    if (this.#bodyLeft > 0) this.#watchTransfer("did not send its message");
  }

  #giveBack(): void {
    for (const reservation of this.#held.splice(0)) reservation[Symbol.dispose]();
  }

  /** What the messages that begin in this piece of the stream will take. */
  #bytesOfNewMessages(chunk: Buffer): number {
    let bytes = 0;
    for (let at = 0; at < chunk.length; ) {
      if (this.#bodyLeft > 0) {
        const passed = Math.min(this.#bodyLeft, chunk.length - at);
        this.#bodyLeft -= passed;
        at += passed;
        continue;
      }
      this.#prefix[this.#prefixLength] = chunk[at] ?? 0;
      this.#prefixLength += 1;
      at += 1;
      if (this.#prefixLength < prefixBytes) continue;
      this.#prefixLength = 0;
      this.#bodyLeft = this.#prefix.readUInt32BE(1);
      bytes += this.#costOf(this.#bodyLeft, this.#prefix[0] === 1);
    }
    return bytes;
  }

  #costOf(length: number, isCompressed: boolean): number {
    const { maxRecvBytes, requests, isStream } = this.#options;
    if (length > maxRecvBytes) return 0; // grpc-js refuses it, and keeps nothing of it
    const inflated = isCompressed ? Math.min(length * inflation, maxRecvBytes) : length;
    if (inflated < smallBytes) return 0;
    if (isStream(this.#path)) return inflated;
    // The largest that there is memory for at all goes alone.
    return Math.max(inflated, Math.min(unaryCopies * inflated, requests.limitBytes));
  }

  #watchTransfer(what: string): void {
    const ms = this.#options.transferMs ?? 60_000;
    this.#transfer?.stop();
    this.#transfer = startTimer(() => {
      const why = `the client ${what} in ${ms / 1000} s`;
      this.refuse(this.#options.requests.refuse(`call ${this.#path}`, why));
    }, ms);
    this.#transfer.unref();
  }

  #transferred(): void {
    this.#transfer?.stop();
    this.#transfer = undefined;
  }

  /** Ends the call, as gRPC does when there is nothing but a status; no handler is called. */
  refuse(reason: RuntimeFault): void {
    const stream = this.#stream;
    this.#isRefused = true;
    this.#giveBack();
    this.#transferred();
    if (stream.destroyed || stream.closed) return;
    if (stream.headersSent) stream.close(constants.NGHTTP2_CANCEL);
    else {
      const { code, message } = statusOf(reason);
      const status = { "grpc-status": code, "grpc-message": encodeURI(message) };
      stream.respond(
        { ":status": 200, "content-type": "application/grpc+proto", ...status },
        { endStream: true },
      );
      // Only after the status has been sent. What is on its way meanwhile is read and dropped.
      setImmediate(() => stream.close(constants.NGHTTP2_NO_ERROR));
    }
    // grpc-js does not know yet that the call has ended, and would answer as well.
    Object.assign(stream, { respond: () => {} });
    this.#resume();
    this.#options.onRefused?.(this.#path, reason);
  }
}
