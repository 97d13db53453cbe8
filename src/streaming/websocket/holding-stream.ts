// SPDX-License-Identifier: Apache-2.0
import { Duplex, type DuplexOptions } from "node:stream";
import { ownCopy } from "../own-copy.ts";

/** Pieces that wait at one connection, whatever their size: each costs more than its bytes. */
const heldPiecesLimit = 4096;

/** How many pieces wait in all streams of one connection. */
export interface HeldPieces {
  count: number;
}

/**
 * The stream that a client's messages are read from. It stops the connection while too many of its bytes wait, or too
 * many pieces in all streams of the connection.
 */
export abstract class HoldingStream extends Duplex {
  readonly #held: HeldPieces;
  #pieces = 0;

  constructor(options: DuplexOptions, held: HeldPieces = { count: 0 }) {
    super(options);
    this.#held = held;
  }

  /** Stops or resumes the whole connection. */
  protected abstract hold(held: boolean): void;

  /** Takes what came in. */
  deliver(bytes: Buffer): void {
    if (this.destroyed || bytes.length === 0) return;
    this.#count(this.#pieces + 1);
    const wantsMore = this.push(ownCopy(bytes));
    if (this.readableLength === 0) this.#count(0);
    if (!wantsMore || this.#hasTooMany) this.hold(true);
  }

  // Node asks for more while there is room for bytes, also when nobody reads.
  override _read(): void {
    if (!this.#hasTooMany) this.hold(false);
  }

  override read(size?: number): unknown {
    const chunk: unknown = super.read(size);
    if (this.#pieces > 0 && this.readableLength === 0) {
      this.#count(0);
      this.hold(false);
    }
    return chunk;
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#count(0);
    this.hold(false);
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
