// SPDX-License-Identifier: Apache-2.0

const firstBytes = 4096;
/** A buffer larger than this is not kept for the next content. */
const keptBytes = 1024 * 1024;

/**
 * Gathers bytes that others send in pieces of their own choosing, by copying them into one buffer that
 * doubles up to a limit: a list of the pieces would cost some hundred bytes for each, also for one of a byte.
 */
export class GrowingBuffer {
  readonly #limit: number;
  readonly #mayHold: (bytes: number) => boolean;
  #isRefused = false;
  #buffer = Buffer.alloc(0);
  #length = 0;

  /** `mayHold` is asked before each growth; when it answers false, the buffer stays as large as it is. */
  constructor(limitBytes: number, mayHold: (bytes: number) => boolean = () => true) {
    this.#limit = limitBytes;
    this.#mayHold = mayHold;
  }

  get length(): number {
    return this.#length;
  }

  get isFull(): boolean {
    return this.#isRefused || this.#length >= this.#limit;
  }

  /** Whether something was dropped because `mayHold` answered false. */
  get isRefused(): boolean {
    return this.#isRefused;
  }

  /** Copies as much of `piece` as there is room for; answers how many bytes that were. */
  add(piece: Uint8Array): number {
    const taken = Math.min(piece.byteLength, this.#limit - this.#length);
    if (taken <= 0 || this.#isRefused) return 0;
    const needed = this.#length + taken;
    if (needed > this.#buffer.length && !this.#grow(needed)) return 0;
    this.#buffer.set(taken === piece.byteLength ? piece : piece.subarray(0, taken), this.#length);
    this.#length = needed;
    return taken;
  }

  /** What was gathered: a view, good until `clear`. */
  bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  clear(): void {
    this.#length = 0;
    if (this.#buffer.length > keptBytes) this.#buffer = Buffer.alloc(0);
  }

  #grow(needed: number): boolean {
    const wanted = Math.max(needed, 2 * this.#buffer.length, firstBytes);
    const bytes = Math.min(wanted, this.#limit);
    this.#isRefused = !this.#mayHold(bytes);
    if (this.#isRefused) return false;
    const larger = Buffer.allocUnsafeSlow(bytes);
    this.#buffer.copy(larger, 0, 0, this.#length);
    this.#buffer = larger;
    return true;
  }
}
