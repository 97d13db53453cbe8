// SPDX-License-Identifier: Apache-2.0
import { GrowingBuffer } from "./growing-buffer.ts";

const stderrTailBytes = 4096;
const newline = 10;

/** Keeps what a stream brings, up to a limit. */
export class Capture {
  readonly #kept: GrowingBuffer;
  #overflowed = false;

  constructor(max: number) {
    this.#kept = new GrowingBuffer(max);
  }

  get overflowed(): boolean {
    return this.#overflowed;
  }

  /** Copies. */
  add(chunk: Buffer): void {
    if (this.#kept.add(chunk) < chunk.byteLength) this.#overflowed = true;
  }

  /** What there is, up to the limit; good until `clear`. */
  bytes(): Buffer {
    return this.#kept.bytes();
  }

  clear(): void {
    this.#kept.clear();
    this.#overflowed = false;
  }

  tail(): string {
    return this.bytes().subarray(-stderrTailBytes).toString("utf8").trim();
  }
}

/** Cuts a stream into its lines. */
export class Lines {
  readonly #take: (line: string) => void;
  readonly #rest: Capture;

  constructor(max: number, take: (line: string) => void) {
    this.#take = take;
    this.#rest = new Capture(max);
  }

  get overflowed(): boolean {
    return this.#rest.overflowed;
  }

  add(chunk: Buffer): void {
    let at = 0;
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, at)) {
      this.#rest.add(chunk.subarray(at, end));
      if (this.#rest.overflowed) return;
      this.#take(this.#rest.bytes().toString("utf8"));
      this.#rest.clear();
      at = end + 1;
    }
    this.#rest.add(chunk.subarray(at));
  }
}
