// SPDX-License-Identifier: Apache-2.0

const stderrTailBytes = 4096;
const newline = 10;

/** What a stream brings, up to a limit. */
export class Capture {
  readonly #chunks: Buffer[] = [];
  readonly #max: number;
  #size = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get overflowed(): boolean {
    return this.#size > this.#max;
  }

  add(chunk: Buffer): void {
    this.#size += chunk.byteLength;
    if (!this.overflowed) this.#chunks.push(chunk);
  }

  bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  tail(): string {
    return this.bytes().subarray(-stderrTailBytes).toString("utf8").trim();
  }
}

/** Cuts a stream into its lines. */
export class Lines {
  readonly #take: (line: string) => void;
  readonly #max: number;
  #rest: Capture;

  constructor(max: number, take: (line: string) => void) {
    this.#max = max;
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
      this.#rest = new Capture(this.#max);
      at = end + 1;
    }
    this.#rest.add(chunk.subarray(at));
  }
}
