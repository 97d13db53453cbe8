// SPDX-License-Identifier: Apache-2.0
import { Duplex } from "node:stream";
import { ownCopy } from "../own-copy.ts";

export interface ChannelCarrier {
  send(bytes: Buffer, done: (error?: Error | null) => void): void;
  /** Stops or resumes the whole connection. */
  hold(held: boolean): void;
}

/** Pieces that wait in all channels of a connection, whatever their size: each costs more than its bytes. */
const heldPiecesLimit = 4096;

/** How many pieces wait in all channels of one connection. */
export interface HeldPieces {
  count: number;
}

/** One channel. Ending its writable side sends nothing: the protocols have no word for that. */
export class Channel extends Duplex {
  readonly #carrier: ChannelCarrier;
  readonly #held: HeldPieces;
  #pieces = 0;
  #ended = false;

  constructor(carrier: ChannelCarrier, held: HeldPieces) {
    super({ readableHighWaterMark: 256 * 1024, writableHighWaterMark: 64 * 1024 });
    this.#carrier = carrier;
    this.#held = held;
    this.on("error", () => {}); // its writers learn of it by their callbacks
  }

  deliver(bytes: Buffer): void {
    if (this.#ended || this.destroyed || bytes.length === 0) return;
    this.#count(this.#pieces + 1);
    const wantsMore = this.push(ownCopy(bytes));
    if (this.readableLength === 0) this.#count(0);
    if (!wantsMore || this.#hasTooMany) this.#carrier.hold(true);
  }

  deliverEnd(): void {
    if (this.#ended || this.destroyed) return;
    this.#ended = true;
    this.push(null);
  }

  // Node asks for more while there is room for bytes, also when nobody reads.
  override _read(): void {
    if (!this.#hasTooMany) this.#carrier.hold(false);
  }

  override read(size?: number): unknown {
    const chunk: unknown = super.read(size);
    if (this.#pieces > 0 && this.readableLength === 0) {
      this.#count(0);
      this.#carrier.hold(false);
    }
    return chunk;
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#carrier.send(chunk, done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#count(0);
    this.#carrier.hold(false);
    done(error);
  }

  get #hasTooMany(): boolean {
    return this.#pieces > 0 && this.#held.count > heldPiecesLimit;
  }

  #count(pieces: number): void {
    this.#held.count += pieces - this.#pieces;
    this.#pieces = pieces;
  }
}
