// SPDX-License-Identifier: Apache-2.0
import { createGunzip, createInflate, type Gunzip, type Inflate } from "node:zlib";
import { fault, type RuntimeFault, toFault } from "../base/errors.ts";
import type { MemoryPool, Reservation } from "../base/memory/memory-pool.ts";
import { type OneTimer, startTimer } from "../base/timers.ts";

export interface ReaderRules {
  readonly path: string;
  /** Memory for messages while they arrive and are worked on. */
  readonly requests: MemoryPool;
  /** The largest request taken. */
  readonly maxRecvBytes: number;
  /** Each request is done with when the next is asked for, and none is taken before. */
  readonly isStream: boolean;
  /** As `grpc-encoding` tells. */
  readonly encoding: string;
  /** How long a client may take to send a large message. */
  readonly transferMs: number;
}

export interface MessageListener {
  message(bytes: Buffer): void;
  /** There is no further message; half of one is none. */
  allRead(): void;
  /** The client may send on: so many bytes have been read. */
  consumed(bytes: number): void;
  /** It cannot be read. `isRefusal` for one that there was no memory for. */
  unreadable(reason: RuntimeFault, isRefusal: boolean): void;
}

/** Messages below this are not counted: there are as many as there are calls. */
const smallBytes = 16 * 1024;
const prefixBytes = 5;
/** Of one request to be worked on: its bytes, the objects that they become, and what is made of those. */
const unaryCopies = 4;
/** gzip inflates no further. */
const inflation = 1032;

/**
 * Makes messages of the pieces of a call's request, and counts their bytes before they are read. A message begins with
 * its length, so what it will take is known from its first bytes; while there is no memory for it, nothing more is
 * consumed, and HTTP/2's flow control stops the client after 64 KiB. What does not get its share in time is refused.
 */
export class MessageReader {
  readonly #rules: ReaderRules;
  readonly #listener: MessageListener;
  /** Read from the connection, but not consumed: the window bounds them. */
  readonly #unread: Buffer[] = [];
  #at = 0;
  readonly #prefix = Buffer.allocUnsafe(prefixBytes);
  #prefixLength = 0;
  #body: Buffer | undefined;
  #bodyLength = 0;
  #isWanted: boolean;
  /** A message waits for its share, or is inflated. */
  #isHeld = false;
  #isRunning = false;
  #hasEnded = false;
  #isClosed = false;
  #held: Reservation[] = [];
  #abort: AbortController | undefined;
  #transfer: OneTimer | undefined;

  constructor(rules: ReaderRules, listener: MessageListener) {
    this.#rules = rules;
    this.#listener = listener;
    this.#isWanted = !rules.isStream;
  }

  push(chunk: Buffer): void {
    if (this.#isClosed) return;
    this.#unread.push(chunk);
    this.#run();
  }

  end(): void {
    this.#hasEnded = true;
    this.#run();
  }

  /** A stream's next message is wanted; the one before is done with. */
  want(): void {
    this.#isWanted = true;
    if (this.#body === undefined) this.#giveBack();
    this.#run();
  }

  /** Nothing more is read, and nothing held. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#unread.length = 0;
    this.#body = undefined;
    this.#abort?.abort();
    this.#transferred();
    // Who served the call still has its message: what is given back is collected, and then others get it.
    if (this.#held.length > 0) setImmediate(() => this.#giveBack());
  }

  get #goesOn(): boolean {
    return !this.#isClosed && !this.#isHeld && this.#isWanted;
  }

  #run(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    while (this.#goesOn && this.#step());
    this.#isRunning = false;
    const isDone = this.#goesOn && this.#hasEnded && this.#unread.length === 0;
    if (!isDone) return;
    this.#isWanted = false;
    this.#transferred();
    this.#listener.allRead();
  }

  /** Reads on in the first piece; false when there is none. */
  #step(): boolean {
    const [chunk] = this.#unread;
    if (chunk === undefined) return false;
    const from = this.#at;
    if (this.#body === undefined) this.#readPrefix(chunk);
    else {
      const length = Math.min(chunk.length - from, this.#body.length - this.#bodyLength);
      chunk.copy(this.#body, this.#bodyLength, from, from + length);
      this.#bodyLength += length;
      this.#at += length;
    }
    const read = this.#at - from;
    if (this.#at === chunk.length) {
      this.#unread.shift();
      this.#at = 0;
    }
    if (read > 0) this.#listener.consumed(read);
    if (!this.#isHeld) this.#finishBody();
    return true;
  }

  #readPrefix(chunk: Buffer): void {
    while (this.#prefixLength < prefixBytes && this.#at < chunk.length) {
      this.#prefix[this.#prefixLength++] = chunk[this.#at++] ?? 0;
    }
    if (this.#prefixLength === prefixBytes) this.#begin(this.#prefix.readUInt32BE(1));
  }

  #begin(length: number): void {
    const { maxRecvBytes, requests } = this.#rules;
    if (length > maxRecvBytes) {
      const what = `Received message larger than max (${length} vs ${maxRecvBytes})`;
      return this.#unreadable(fault("RESOURCE_EXHAUSTED", what), false);
    }
    const cost = this.#costOf(length);
    const taken = cost === 0 ? undefined : requests.tryTake(cost);
    if (cost > 0 && taken === undefined) {
      this.#isHeld = true;
      void this.#waitFor(cost, length);
      return;
    }
    this.#startBody(length, taken);
  }

  #startBody(length: number, share: Reservation | undefined): void {
    this.#body = Buffer.allocUnsafe(length);
    this.#bodyLength = 0;
    if (share === undefined) return;
    this.#held.push(share);
    const { transferMs } = this.#rules;
    this.#transfer ??= startTimer(() => {
      const why = `the client did not send its message in ${transferMs / 1000} s`;
      this.#unreadable(this.#rules.requests.refuse(`call ${this.#rules.path}`, why), true);
    }, transferMs).unref();
  }

  async #waitFor(cost: number, length: number): Promise<void> {
    const { path, requests } = this.#rules;
    const { signal } = (this.#abort ??= new AbortController());
    try {
      const share = await requests.take(cost, `call ${path} with a message of ${cost} bytes`, {
        signal,
      });
      if (this.#isClosed) return share[Symbol.dispose]();
      this.#startBody(length, share);
    } catch (error) {
      this.#unreadable(toFault(error), true);
      return;
    }
    this.#isHeld = false;
    this.#finishBody();
    this.#run();
  }

  #finishBody(): void {
    const body = this.#body;
    if (body === undefined || this.#bodyLength < body.length) return;
    this.#transferred();
    this.#body = undefined;
    this.#prefixLength = 0;
    if (this.#prefix[0] === 1 && this.#rules.encoding !== "identity") {
      this.#isHeld = true;
      void this.#inflate(body);
      return;
    }
    this.#deliver(body);
  }

  #deliver(message: Buffer): void {
    if (this.#rules.isStream) this.#isWanted = false;
    this.#listener.message(message);
  }

  async #inflate(body: Buffer): Promise<void> {
    try {
      const message = await inflated(body, this.#rules);
      if (this.#isClosed) return;
      this.#isHeld = false;
      this.#deliver(message);
    } catch (error) {
      this.#unreadable(toFault(error), false);
      return;
    }
    this.#run();
  }

  #costOf(length: number): number {
    const { maxRecvBytes, requests, isStream } = this.#rules;
    const isCompressed = this.#prefix[0] === 1;
    const whole = isCompressed ? Math.min(length * inflation, maxRecvBytes) : length;
    if (whole < smallBytes) return 0;
    if (isStream) return whole;
    // The largest that there is memory for at all goes alone.
    return Math.max(whole, Math.min(unaryCopies * whole, requests.limitBytes));
  }

  #unreadable(reason: RuntimeFault, isRefusal: boolean): void {
    if (this.#isClosed) return;
    this.close();
    this.#listener.unreadable(reason, isRefusal);
  }

  #transferred(): void {
    this.#transfer?.stop();
    this.#transfer = undefined;
  }

  #giveBack(): void {
    for (const share of this.#held.splice(0)) share[Symbol.dispose]();
  }
}

/** The message inside, no larger than requests may be. */
function inflated(body: Buffer, { encoding, maxRecvBytes }: ReaderRules): Promise<Buffer> {
  let inflater: Gunzip | Inflate;
  if (encoding === "gzip") inflater = createGunzip();
  else if (encoding === "deflate") inflater = createInflate();
  else {
    const what = `Received message compressed with unsupported encoding "${encoding}"`;
    return Promise.reject(fault("UNIMPLEMENTED", what));
  }
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const parts: Buffer[] = [];
  let bytes = 0;
  inflater.on("data", (part: Buffer) => {
    parts.push(part);
    bytes += part.length;
    if (bytes <= maxRecvBytes) return;
    inflater.destroy();
    const what = `Received message that decompresses to a size larger than ${maxRecvBytes}`;
    reject(fault("RESOURCE_EXHAUSTED", what));
  });
  inflater.on("error", () => reject(fault("INTERNAL", "Failed to decompress message")));
  inflater.on("end", () => resolve(Buffer.concat(parts, bytes)));
  inflater.end(body);
  return promise;
}
