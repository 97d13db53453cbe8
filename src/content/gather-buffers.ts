// SPDX-License-Identifier: Apache-2.0
import { freeBytes } from "../base/free-bytes.ts";

/** Small network chunks are gathered into writes of this size: one trip to the thread pool each. */
export const gatherBytes = 1024 * 1024;
/** How many buffers of that size wait for the next writer. */
const mostSpare = 4;

/** Bytes on their way to a file, copied out of the chunks they came in. */
export class GatherBuffer {
  readonly #bytes: Buffer;
  #length = 0;

  constructor(size: number) {
    this.#bytes = Buffer.allocUnsafeSlow(size);
  }

  get size(): number {
    return this.#bytes.length;
  }

  get length(): number {
    return this.#length;
  }

  get isFull(): boolean {
    return this.#length === this.#bytes.length;
  }

  /** Copies as much of `piece` as there is room for; answers how many bytes that were. */
  add(piece: Uint8Array): number {
    const taken = Math.min(piece.byteLength, this.#bytes.length - this.#length);
    this.#bytes.set(taken === piece.byteLength ? piece : piece.subarray(0, taken), this.#length);
    this.#length += taken;
    return taken;
  }

  /** What was gathered: a view, good until `clear`. */
  bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  clear(): void {
    this.#length = 0;
  }

  /** It must not be used afterwards, nor may a write of its bytes be under way. */
  free(): void {
    freeBytes(this.#bytes);
  }
}

/**
 * The buffers of all writers. They go from one to the next, and are freed with the last: V8 counts a megabyte with
 * its heap until it is collected, and an image of twenty layers would have it mark all of the heap four times.
 */
export class GatherBuffers {
  readonly #spare: GatherBuffer[] = [];
  #users = 0;

  /** Notes a writer, until disposed. */
  use(): Disposable {
    this.#users += 1;
    let isOver = false;
    return {
      [Symbol.dispose]: () => {
        if (isOver) return;
        isOver = true;
        this.#users -= 1;
        if (this.#users === 0) for (const one of this.#spare.splice(0)) one.free();
      },
    };
  }

  /** An empty one. A writer that knows of less than `gatherBytes` to come gets a small one. */
  take(mostBytes: number): GatherBuffer {
    if (mostBytes < gatherBytes) return new GatherBuffer(mostBytes);
    return this.#spare.pop() ?? new GatherBuffer(gatherBytes);
  }

  /** Takes one back that is not being written any more. */
  giveBack(one: GatherBuffer): void {
    one.clear();
    const isWanted = this.#users > 0 && this.#spare.length < mostSpare;
    if (isWanted && one.size === gatherBytes) this.#spare.push(one);
    else one.free();
  }
}
