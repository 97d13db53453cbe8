// SPDX-License-Identifier: Apache-2.0
import { type HeldPieces, HoldingStream } from "./holding-stream.ts";

export interface ChannelCarrier {
  send(bytes: Buffer, done: (error?: Error | null) => void): void;
  /** Stops or resumes the whole connection. */
  hold(held: boolean): void;
}

/** One channel. Ending its writable side sends nothing: the protocols have no word for that. */
export class Channel extends HoldingStream {
  readonly #carrier: ChannelCarrier;
  #ended = false;

  constructor(carrier: ChannelCarrier, held: HeldPieces) {
    super({ readableHighWaterMark: 256 * 1024, writableHighWaterMark: 64 * 1024 }, held);
    this.#carrier = carrier;
    this.on("error", () => {}); // its writers learn of it by their callbacks
  }

  override deliver(bytes: Buffer): void {
    if (!this.#ended) super.deliver(bytes);
  }

  deliverEnd(): void {
    if (this.#ended || this.destroyed) return;
    this.#ended = true;
    this.push(null);
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#carrier.send(chunk, done);
  }

  protected override hold(held: boolean): void {
    this.#carrier.hold(held);
  }
}
