// SPDX-License-Identifier: Apache-2.0
import { Duplex } from "node:stream";
import { connectionEnd } from "../base/connection-end.ts";
import { fault, type RuntimeFault } from "../base/errors.ts";
import { startTimer } from "../base/timers.ts";

/** Logical streams of NRI: on one the plugin serves and the runtime calls, on the other the reverse. */
export const StreamId = { plugin: 1, runtime: 2 } as const;

/** Id and length of a frame, each u32, big endian. */
const headerBytes = 8;
/** Of a frame's payload: a ttrpc message of the limit with its header. */
export const maxPayloadBytes = 4 * 1024 * 1024 + 10;
/** How much a Go peer reads at once when a message begins: a longer first frame makes it silent for ever. */
const firstFrameBytes = 4096;
/** How long a peer may hold the thread with what it sends, in each period, in milliseconds; then it is not read. */
const heldMs = 200;
const periodMs = 1000;
/** What a stream may have unread before its connection is closed. */
const maxUnreadBytes = 2 * maxPayloadBytes;

/**
 * Several streams of bytes over one connection, as NRI frames them. A frame is an id, a length and so many bytes;
 * there are no frames to open, close or slow down a stream, so when one stream ends they all do, and so does the
 * connection. Frames of streams that nobody has opened are dropped.
 *
 * Each `write` to a stream must be one whole ttrpc message: it goes as a frame of at most 4096 bytes and one with the
 * rest, which is what Go's reader of ttrpc can read.
 */
export class Multiplexer implements Disposable {
  /** Settles, never rejects, when the connection is gone, for whatever reason. */
  readonly closed: Promise<void>;
  readonly #socket: Duplex;
  readonly #streams = new Map<number, LogicalStream>();
  readonly #header = Buffer.alloc(headerBytes);
  #headerLength = 0;
  /** Bytes of the present frame that are still to come. */
  #missing = 0;
  #receiver: LogicalStream | undefined;
  #periodStart = 0;
  #heldMs = 0;

  constructor(socket: Duplex) {
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    this.closed = connectionEnd(socket, (cause) => {
      this.#close(fault("UNAVAILABLE", "NRI connection is closed", { cause }));
    });
  }

  /** Opens a stream; what came for it before is lost. Each id can be opened once. */
  open(id: number): Duplex {
    if (id === 0 || this.#streams.has(id)) throw new Error(`stream ${id} cannot be opened`);
    const stream = new LogicalStream({
      send: (message, sent) => this.#send(id, message, sent),
      gone: () => this.#close(fault("UNAVAILABLE", "NRI connection is closed")),
    });
    this.#streams.set(id, stream);
    if (this.#socket.destroyed) stream.destroy();
    return stream;
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }

  #send(id: number, message: Buffer, sent: (error?: Error | null) => void): void {
    const first = message.subarray(0, firstFrameBytes);
    const rest = message.subarray(firstFrameBytes);
    this.#socket.cork();
    this.#write(id, first, rest.length === 0 ? sent : undefined);
    if (rest.length > 0) this.#write(id, rest, sent);
    this.#socket.uncork();
  }

  #write(id: number, payload: Buffer, sent: ((error?: Error | null) => void) | undefined): void {
    const header = Buffer.allocUnsafe(headerBytes);
    header.writeUInt32BE(id, 0);
    header.writeUInt32BE(payload.length, 4);
    this.#socket.write(header);
    this.#socket.write(payload, sent);
  }

  #receive(chunk: Buffer): void {
    const began = performance.now();
    for (let rest = chunk; rest.length > 0 && !this.#socket.destroyed; ) {
      rest = this.#missing > 0 ? this.#pass(rest) : this.#begin(rest);
    }
    this.#count(began);
  }

  /** What comes is looked at while it is received: a peer that floods waits until others have had their turns. */
  #count(began: number): void {
    if (began - this.#periodStart > periodMs) {
      this.#periodStart = began;
      this.#heldMs = 0;
    }
    this.#heldMs += performance.now() - began;
    if (this.#heldMs < heldMs) return;
    this.#socket.pause();
    this.#heldMs = 0;
    startTimer(() => this.#socket.resume(), periodMs - heldMs).unref();
  }

  /** Hands on what belongs to the present frame; answers the rest. */
  #pass(bytes: Buffer): Buffer {
    const part = bytes.subarray(0, this.#missing);
    this.#missing -= part.length;
    this.#receiver?.push(part);
    if ((this.#receiver?.readableLength ?? 0) > maxUnreadBytes) {
      this.#close(fault("RESOURCE_EXHAUSTED", "peer sends more than is read"));
    }
    return bytes.subarray(part.length);
  }

  /** Gathers a frame's header; answers the rest. */
  #begin(bytes: Buffer): Buffer {
    const taken = bytes.copy(this.#header, this.#headerLength);
    this.#headerLength += taken;
    if (this.#headerLength === headerBytes) {
      this.#headerLength = 0;
      this.#receiver = this.#streams.get(this.#header.readUInt32BE(0));
      this.#missing = this.#header.readUInt32BE(4);
      if (this.#missing > maxPayloadBytes) {
        this.#close(fault("INVALID_ARGUMENT", `peer sends a frame of ${this.#missing} bytes`));
      }
    }
    return bytes.subarray(taken);
  }

  #close(reason: RuntimeFault): void {
    this.#socket.destroy();
    for (const stream of this.#streams.values()) stream.destroy(reason);
  }
}

interface Ends {
  readonly send: (message: Buffer, sent: (error?: Error | null) => void) => void;
  readonly gone: () => void;
}

class LogicalStream extends Duplex {
  readonly #ends: Ends;

  constructor(ends: Ends) {
    super({ decodeStrings: true });
    this.#ends = ends;
    this.on("error", () => {}); // whoever uses it hears of its end by "close"
  }

  override _read(): void {
    // Bytes come when they come; what is too much closes the connection.
  }

  override _write(
    chunk: Buffer,
    _encoding: BufferEncoding,
    done: (error?: Error | null) => void,
  ): void {
    this.#ends.send(chunk, done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#ends.gone();
    done(error);
  }
}
