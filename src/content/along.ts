// SPDX-License-Identifier: Apache-2.0
import { within } from "../base/waits.ts";
import type { Digest, ReadsAlong } from "./ports.ts";

/** Fewer bytes that are yet to come are not worth it. */
const leastBytes = 1024 * 1024;
/** A reader should not hold what it needs for a transfer that takes longer. */
const mostMs = 2_000;
/** How much later than we a reader may be at the end. */
const patienceMs = 1_000;

/** When somebody else reads an ingest along, and what comes of it. */
export class Along {
  readonly #reader: ReadsAlong;
  readonly #file: string;
  readonly #totalBytes: number;
  readonly #startedAt = performance.now();
  readonly #from: number;
  #proof: Promise<Digest | undefined> | undefined;
  #isComplete = false;

  /** `from` is how much the file has already. */
  constructor(reader: ReadsAlong, file: string, totalBytes: number, from: number) {
    this.#reader = reader;
    this.#file = file;
    this.#totalBytes = totalBytes;
    this.#from = from;
  }

  /** Whether somebody reads it: the bytes need not be hashed here. */
  get isRead(): boolean {
    return this.#proof !== undefined;
  }

  /** To be called when the file has grown to so many bytes. */
  grown(bytes: number): void {
    if (this.#proof || bytes === this.#from) return;
    const left = this.#totalBytes - bytes;
    const tookMs = performance.now() - this.#startedAt;
    if (left < leastBytes || (left * tookMs) / (bytes - this.#from) > mostMs) return;
    this.#proof = this.#reader.begin(this.#file);
  }

  /** To be called when so many bytes have come, also if they are not in the file yet. */
  come(bytes: number): void {
    if (this.#isComplete || bytes !== this.#totalBytes) return;
    this.#isComplete = true;
    this.#reader.complete();
  }

  /** The digest of all bytes, of a file that is complete; undefined when it must be found otherwise. */
  async digest(): Promise<Digest | undefined> {
    if (!this.#isComplete || !this.#proof) return undefined;
    return within(this.#proof, patienceMs);
  }
}
