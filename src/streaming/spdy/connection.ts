// SPDX-License-Identifier: Apache-2.0

import type { Duplex } from "node:stream";
import { startTimer } from "../../base/timers.ts";
import { FrameParser } from "./frame-parser.ts";
import {
  dataHeader,
  FrameType,
  finFlag,
  goAwayFrame,
  largestPayload,
  pingFrame,
  ResetCode,
  replyFrame,
  resetFrame,
} from "./frames.ts";
import { emptyHeaderBlock, HeaderInflater, type StreamHeaders } from "./header-block.ts";
import { SpdyError } from "./spdy-error.ts";
import { SpdyStream, type StreamCarrier } from "./stream.ts";

export interface SpdyOptions {
  /** Bytes that came right behind the upgrade request. */
  readonly head: Buffer;
  /** Streams open at once; further ones are refused. */
  readonly maxStreams: number;
  /** A client opened a stream; it has been answered. */
  readonly onStream: (stream: SpdyStream) => void;
  /** Bytes moved. */
  readonly onActivity: () => void;
}

/** Inbound bytes that all streams together may hold. */
const heldBytesLimit = 8 * 1024 * 1024;
/** Bytes of answers that may wait for a client that sends and does not read. */
const controlBacklogLimit = 256 * 1024;
/** Streams that are refused before the client that goes on opening them is cut off. */
const refusalLimit = 1000;
/** How long a finished connection waits for the client to hang up. */
const lingerMs = 10_000;

/**
 * The server's side of a SPDY/3.1 connection as Kubernetes speaks it: streams are opened by the client
 * only, replies carry no headers, and there is no flow control but TCP's (neither side sends
 * WINDOW_UPDATE, so waiting for one would be for ever).
 */
export class SpdyConnection implements StreamCarrier {
  readonly #transport: Duplex;
  readonly #options: SpdyOptions;
  readonly #parser: FrameParser;
  readonly #inflater = new HeaderInflater();
  readonly #streams = new Map<number, SpdyStream>();
  readonly #holds = new Set<object>();
  readonly #gone = new AbortController();
  #lastStreamId = 0;
  #replied = false;
  #heldBytes = 0;
  #controlBacklog = 0;
  #refusals = 0;
  #pings = 0;
  #finishing = false;

  constructor(transport: Duplex, options: SpdyOptions) {
    this.#transport = transport;
    this.#options = options;
    this.#parser = new FrameParser({
      onData: (id, bytes, fin) => this.#onData(id, bytes, fin),
      onControl: (type, flags, payload) => this.#onControl(type, flags, payload),
    });
    transport.on("error", () => {}); // "close" follows
    transport.on("close", () => this.#closed());
    transport.on("end", () => {
      if (!this.#finishing) transport.destroy();
    });
    transport.on("data", (chunk: Buffer) => this.#receive(chunk));
    if (options.head.length > 0) this.#receive(options.head);
    if (transport.destroyed) this.#closed();
  }

  /** Aborts when the client is gone or was cut off. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  /** Sends a ping. Its answer does not matter: a client that vanished shows by the reset. */
  ping(): void {
    this.#pings += 2;
    this.#send(pingFrame(this.#pings));
  }

  /**
   * Resets what is open, sends GOAWAY, and closes the connection once the client does: closing with bytes unread
   * would reset the connection, and the client would lose what it has not read yet.
   */
  async finish(): Promise<void> {
    if (this.#finishing || this.#transport.destroyed) return;
    this.#finishing = true;
    for (const stream of this.#streams.values()) stream.destroy();
    this.#send(goAwayFrame(this.#lastStreamId, 0));
    this.#holds.clear();
    this.#transport.end();
    this.#transport.resume();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#transport.once("close", resolve);
    this.#transport.once("end", () => this.#transport.destroy());
    const timer = startTimer(() => this.#transport.destroy(), lingerMs);
    await promise;
    timer.stop();
  }

  destroy(): void {
    this.#transport.destroy();
  }

  sendData(id: number, bytes: Buffer, done: (error?: Error | null) => void): void {
    this.#options.onActivity();
    if (bytes.length > largestPayload) {
      this.sendData(id, bytes.subarray(0, largestPayload), () => {});
      this.sendData(id, bytes.subarray(largestPayload), done);
      return;
    }
    const transport = this.#transport;
    transport.cork();
    transport.write(dataHeader(id, bytes.length, false));
    transport.write(bytes, done);
    transport.uncork();
  }

  sendFin(id: number, done: (error?: Error | null) => void): void {
    this.#transport.write(dataHeader(id, 0, true), done);
  }

  sendReset(id: number): void {
    this.#send(resetFrame(id, ResetCode.cancel));
  }

  hold(owner: object): void {
    if (this.#finishing) return;
    this.#holds.add(owner);
    this.#transport.pause();
  }

  release(owner: object): void {
    if (this.#holds.delete(owner) && this.#holds.size === 0) this.#transport.resume();
  }

  account(bytes: number): void {
    this.#heldBytes += bytes;
    if (this.#heldBytes > heldBytesLimit) this.hold(this);
    else if (this.#heldBytes <= heldBytesLimit / 2) this.release(this);
  }

  forget(stream: SpdyStream): void {
    this.#streams.delete(stream.id);
  }

  #receive(chunk: Buffer): void {
    if (this.#finishing) return;
    this.#guard(() => this.#parser.push(chunk));
  }

  #guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Cuts off a client that broke the protocol. */
  #fail(error: unknown): void {
    if (!(error instanceof SpdyError)) {
      this.#transport.destroy(error as Error);
      return;
    }
    if (this.#finishing || this.#transport.destroyed) return;
    this.#finishing = true; // what else comes in is ignored
    this.#transport.end(goAwayFrame(this.#lastStreamId, 1), () => this.#transport.destroy());
    startTimer(() => this.#transport.destroy(), 1000).unref();
  }

  #onData(id: number, bytes: Buffer, fin: boolean): void {
    this.#options.onActivity();
    // Unknown: data that was under way when the stream was reset.
    this.#streams.get(id)?.deliver(bytes, fin);
  }

  #onControl(type: number, flags: number, payload: Buffer): void {
    switch (type) {
      case FrameType.synStream:
        this.#synStream(flags, payload);
        break;
      case FrameType.synReply:
      case FrameType.headers:
        this.#inflate(payload, 4, () => {}); // of no interest, but part of the compression's state
        break;
      case FrameType.rstStream:
        if (payload.length >= 4) this.#streams.get(payload.readUInt32BE(0))?.cut();
        break;
      case FrameType.ping:
        // Even ones are answers to our own.
        if (payload.length >= 4 && payload.readUInt32BE(0) % 2 === 1) {
          this.#send(pingFrame(payload.readUInt32BE(0)));
        }
        break;
      default:
        break; // SETTINGS, WINDOW_UPDATE, GOAWAY: nothing to do
    }
  }

  #synStream(flags: number, payload: Buffer): void {
    if (payload.length < 10) throw new SpdyError("SYN_STREAM is too short");
    const id = payload.readUInt32BE(0) & 0x7fff_ffff;
    if (id % 2 === 0 || id <= this.#lastStreamId) {
      throw new SpdyError(`stream ${id}: want an odd number above ${this.#lastStreamId}`);
    }
    this.#lastStreamId = id;
    this.#inflate(payload, 10, (headers) => this.#open(id, headers, (flags & finFlag) !== 0));
  }

  #open(id: number, headers: StreamHeaders, fin: boolean): void {
    if (this.#finishing || this.#transport.destroyed) return;
    if (this.#streams.size >= this.#options.maxStreams) {
      this.#refusals += 1;
      if (this.#refusals > refusalLimit) throw new SpdyError("too many streams");
      this.#send(resetFrame(id, ResetCode.refusedStream));
      return;
    }
    // At once and before any data: the client opens its next stream only then, and drops data that comes before the
    // reply.
    this.#send(replyFrame(id, this.#replied ? emptyHeaderBlock.next : emptyHeaderBlock.first));
    this.#replied = true;
    const stream = new SpdyStream(id, headers, this);
    this.#streams.set(id, stream);
    this.#options.onStream(stream);
    if (fin) stream.deliver(Buffer.alloc(0), true);
  }

  /** Inflates in the background; no frame is looked at before it is done. */
  #inflate(payload: Buffer, offset: number, use: (headers: StreamHeaders) => void): void {
    if (payload.length < offset) throw new SpdyError("frame is too short for its headers");
    this.#parser.pause();
    this.hold(this.#parser);
    this.#inflater.read(payload.subarray(offset)).then(
      (headers) =>
        this.#guard(() => {
          use(headers);
          this.release(this.#parser);
          this.#parser.resume(); // may pause it again
        }),
      (error: unknown) => this.#fail(error),
    );
  }

  #send(frame: Buffer): void {
    if (this.#transport.destroyed || this.#transport.writableEnded) return;
    this.#controlBacklog += frame.length;
    if (this.#controlBacklog > controlBacklogLimit) {
      this.#transport.destroy();
      return;
    }
    this.#transport.write(frame, () => {
      this.#controlBacklog -= frame.length;
    });
  }

  #closed(): void {
    this.#inflater[Symbol.dispose]();
    this.#gone.abort();
    for (const stream of this.#streams.values()) stream.cut();
    this.#streams.clear();
  }
}
