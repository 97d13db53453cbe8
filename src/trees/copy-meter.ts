// SPDX-License-Identifier: Apache-2.0
import { fault } from "../base/errors.ts";

/** What a copy takes. */
export interface CopySize {
  /** Bytes of data, without holes, and for each further name of a file its share of the folder. */
  readonly bytes: number;
  /** Files, folders and all else. */
  readonly inodes: number;
}

/** A name has 255 bytes at most. */
const bytesOfName = 256;

/** Counts what is copied. FAILED_PRECONDITION before it becomes more than is allowed. */
export class CopyMeter {
  readonly #most: CopySize;
  #bytes = 0;
  #inodes = 0;

  constructor(
    most: CopySize = { bytes: Number.POSITIVE_INFINITY, inodes: Number.POSITIVE_INFINITY },
  ) {
    this.#most = most;
  }

  get size(): CopySize {
    return { bytes: this.#bytes, inodes: this.#inodes };
  }

  inode(): void {
    this.#inodes += 1;
    this.#check();
  }

  /** A further name of a file that was copied. */
  name(): void {
    this.data(bytesOfName);
  }

  data(bytes: number): void {
    this.#bytes += bytes;
    this.#check();
  }

  #check(): void {
    const { bytes, inodes } = this.#most;
    if (this.#bytes <= bytes && this.#inodes <= inodes) return;
    throw fault("FAILED_PRECONDITION", `it takes more than ${bytes} bytes or ${inodes} files`);
  }
}
