// SPDX-License-Identifier: Apache-2.0
import { closeSync } from "node:fs";
import { SystemError } from "../base/os/errno.ts";

const mostDescriptors = 2 ** 20;
const tooManyOpenFiles = 24; // EMFILE

/**
 * The descriptors that jobs of a tree worker have open, in memory shared with the main thread: they belong to the
 * process, and those of a worker that dies would stay open for ever. One bit for each.
 */
export class Descriptors {
  readonly memory: SharedArrayBuffer;
  readonly #bits: Uint8Array;

  constructor(memory = new SharedArrayBuffer(mostDescriptors / 8)) {
    this.memory = memory;
    this.#bits = new Uint8Array(memory);
  }

  /** Takes a descriptor that was just opened, and answers it. */
  keep(fd: number): number {
    if (fd >= mostDescriptors) {
      closeSync(fd);
      throw new SystemError("open", tooManyOpenFiles, "");
    }
    this.#bits[fd >> 3] = (this.#bits[fd >> 3] ?? 0) | (1 << (fd & 7));
    return fd;
  }

  close(fd: number): void {
    this.#forget(fd); // first: cut short between the two, a descriptor stays open, and never is one closed that others have got
    closeSync(fd);
  }

  /** For the main thread, after the worker's end. */
  closeAll(): void {
    for (const [index, byte] of this.#bits.entries()) {
      for (let bit = 0; byte >> bit !== 0; bit += 1) {
        if (((byte >> bit) & 1) === 1) this.close(index * 8 + bit);
      }
    }
  }

  #forget(fd: number): void {
    this.#bits[fd >> 3] = (this.#bits[fd >> 3] ?? 0) & ~(1 << (fd & 7));
  }
}
