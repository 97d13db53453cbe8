// SPDX-License-Identifier: Apache-2.0
import { Duplex } from "node:stream";

export interface ChannelCarrier {
  send(bytes: Buffer, done: (error?: Error | null) => void): void;
  /** Stops or resumes the whole connection. */
  hold(held: boolean): void;
}

/** Pieces that wait, whatever their size: each costs more than its bytes. */
const heldPiecesLimit = 4096;

/** One channel. Ending its writable side sends nothing: the protocols have no word for that. */
export class Channel extends Duplex {
  readonly #carrier: ChannelCarrier;
  #pieces = 0;
  #ended = false;

  constructor(carrier: ChannelCarrier) {
    super({ readableHighWaterMark: 256 * 1024, writableHighWaterMark: 64 * 1024 });
    this.#carrier = carrier;
    this.on("error", () => {}); // its writers learn of it by their callbacks
  }

  deliver(bytes: Buffer): void {
    if (this.#ended || this.destroyed || bytes.length === 0) return;
    this.#pieces = this.readableLength === 0 ? 1 : this.#pieces + 1;
    if (!this.push(bytes) || this.#pieces > heldPiecesLimit) this.#carrier.hold(true);
  }

  deliverEnd(): void {
    if (this.#ended || this.destroyed) return;
    this.#ended = true;
    this.push(null);
  }

  override _read(): void {
    this.#carrier.hold(false);
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#carrier.send(chunk, done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#carrier.hold(false);
    done(error);
  }
}
