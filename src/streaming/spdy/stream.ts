// SPDX-License-Identifier: Apache-2.0
import { Duplex } from "node:stream";
import { ownCopy } from "../own-copy.ts";
import type { StreamHeaders } from "./header-block.ts";

/** Inbound bytes a stream holds before the whole connection is paused: SPDY has no finer brake. */
const heldBytesLimit = 1024 * 1024;
/** What a piece costs beyond its bytes. Without it, a million frames of one byte would count as 1 MB. */
const pieceCost = 256;
/** Pieces smaller than this are joined before they are handed on. */
const smallPiece = 4096;

/** The connection, as its streams see it. */
export interface StreamCarrier {
  sendData(id: number, bytes: Buffer, done: (error?: Error | null) => void): void;
  sendFin(id: number, done: (error?: Error | null) => void): void;
  sendReset(id: number): void;
  /** Stops reading the connection until `release` with the same stream. */
  hold(stream: SpdyStream): void;
  release(stream: SpdyStream): void;
  /** Adds to what all streams hold. */
  account(bytes: number): void;
  forget(stream: SpdyStream): void;
}

/**
 * One stream a client opened. Ending it sends FIN, destroying it early sends RST_STREAM; a RST from the
 * client destroys it. A stream nobody listens to has to be resumed or destroyed, since it holds up the
 * connection once its buffer is full.
 */
export class SpdyStream extends Duplex {
  readonly id: number;
  readonly headers: StreamHeaders;
  readonly #carrier: StreamCarrier;
  #pieces: Buffer[] = [];
  /**
   * The cost of all that nobody has read yet, and of the part of it that is in Node's own list and no longer in
   * `#pieces`.
   */
  #cost = 0;
  #pushedCost = 0;
  #wanted = false;
  #peerFinished = false;
  #finished = false;
  /** Either side has reset it, or there is no connection any more: nothing is sent. */
  #silent = false;

  constructor(id: number, headers: StreamHeaders, carrier: StreamCarrier) {
    super({ readableHighWaterMark: 16 * 1024, writableHighWaterMark: 64 * 1024 });
    this.id = id;
    this.headers = headers;
    this.#carrier = carrier;
    this.on("error", () => {}); // its writers learn of it by their callbacks
  }

  /** Takes what came in. */
  deliver(bytes: Buffer, fin: boolean): void {
    if (this.destroyed || this.#peerFinished) return;
    if (bytes.length > 0) {
      this.#pieces.push(ownCopy(bytes));
      this.#charge(bytes.length + pieceCost);
    }
    this.#peerFinished = fin;
    this.#flow();
    if (this.#cost > heldBytesLimit) this.#carrier.hold(this);
  }

  /** The client reset it, or the connection is gone. */
  cut(): void {
    this.#silent = true;
    this.destroy();
  }

  override _read(): void {
    this.#wanted = true;
    this.#flow();
  }

  // _read is called only when Node's list holds less than is wanted, so it does not show when the list has been read.
  override read(size?: number): unknown {
    const chunk: unknown = super.read(size);
    if (this.#pushedCost > 0) this.#settle();
    return chunk;
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#carrier.sendData(this.id, chunk, done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#finished = true;
    this.#carrier.sendFin(this.id, done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#charge(-this.#cost);
    this.#pushedCost = 0;
    this.#pieces = [];
    if (!this.#silent && !(this.#finished && this.#peerFinished)) this.#carrier.sendReset(this.id);
    this.#carrier.release(this);
    this.#carrier.forget(this);
    done(error);
  }

  #flow(): void {
    while (this.#wanted && this.#pieces.length > 0) {
      const { bytes, cost } = this.#next();
      this.#pushedCost += cost;
      this.#wanted = this.push(bytes);
    }
    this.#settle();
    if (this.#pieces.length === 0 && this.#peerFinished && this.#wanted) {
      this.#wanted = false;
      this.push(null);
    }
  }

  /** Counts as read what Node's list no longer holds. */
  #settle(): void {
    if (this.readableLength === 0 && this.#pushedCost > 0) {
      const read = this.#pushedCost;
      this.#pushedCost = 0;
      this.#charge(-read);
    }
    if (this.#cost <= heldBytesLimit / 2) this.#carrier.release(this);
  }

  #next(): { readonly bytes: Buffer; readonly cost: number } {
    let count = 0;
    let size = 0;
    for (const piece of this.#pieces) {
      if (count > 0 && size + piece.length > smallPiece) break;
      size += piece.length;
      count += 1;
    }
    const taken = this.#pieces.splice(0, count);
    const [first] = taken;
    const bytes = taken.length === 1 && first ? first : Buffer.concat(taken);
    return { bytes, cost: bytes.length + count * pieceCost };
  }

  #charge(cost: number): void {
    this.#cost += cost;
    this.#carrier.account(cost);
  }
}
