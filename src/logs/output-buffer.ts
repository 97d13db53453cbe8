// SPDX-License-Identifier: Apache-2.0
import type { LineSink } from "./line-formatter.ts";

/** Enough for what one full read becomes, unless its lines are very short. */
const capacityBytes = 256 * 1024;

/** Where lines are written: whole lines, buffer[0, length). */
export interface LineTarget {
  append(buffer: Buffer, length: number, lines: number): void;
}

/**
 * Gathers the lines of one read, so that each read costs one write. One buffer serves all containers
 * of the worker, because a read is formatted and written in one synchronous go.
 */
export class OutputBuffer implements LineSink {
  buffer: Buffer = Buffer.allocUnsafeSlow(capacityBytes);
  #length = 0;
  #lines = 0;
  #target: LineTarget | undefined;

  /** Directs what follows into `target`, until `flush`. */
  begin(target: LineTarget): void {
    this.#target = target;
  }

  reserve(bytes: number): number {
    if (this.#length + bytes > this.buffer.length) {
      this.#write();
      if (bytes > this.buffer.length) this.buffer = Buffer.allocUnsafeSlow(bytes);
    }
    return this.#length;
  }

  commit(bytes: number): void {
    this.#length += bytes;
    this.#lines += 1;
  }

  flush(): void {
    this.#write();
    this.#target = undefined;
    if (this.buffer.length > capacityBytes) this.buffer = Buffer.allocUnsafeSlow(capacityBytes);
  }

  #write(): void {
    if (this.#length === 0) return;
    this.#target?.append(this.buffer, this.#length, this.#lines);
    this.#length = 0;
    this.#lines = 0;
  }
}
