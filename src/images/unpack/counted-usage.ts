// SPDX-License-Identifier: Apache-2.0

export interface TreeUsage {
  readonly sizeBytes: number;
  readonly inodes: number;
}

/**
 * Counts what a tree takes while it is made: looking at all of its files once more would be a fifth of the work on a
 * layer of small ones. What it counts is right as long as nothing goes that was counted.
 */
export class CountedUsage {
  #blocks = 0;
  #inodes = 0;
  #isRight = true;

  /** Counts a file or a folder that was made, with its blocks of 512 bytes. */
  add(blocks: number): void {
    this.#blocks += blocks;
    this.#inodes += 1;
  }

  /** Notes that something goes, or that more is there than was made: nobody knows how much. */
  lose(): void {
    this.#isRight = false;
  }

  /** Undefined when only the tree itself can tell. */
  total(): TreeUsage | undefined {
    return this.#isRight ? { sizeBytes: this.#blocks * 512, inodes: this.#inodes } : undefined;
  }
}
