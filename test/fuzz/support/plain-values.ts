// SPDX-License-Identifier: Apache-2.0

/**
 * Takes values from an input's bytes, one after another, so that a fuzzer shapes documents that are valid: what
 * it changes in the bytes changes the document, not its syntax. After the last byte all is 0.
 */
export class Bytes {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  byte(): number {
    const byte = this.#bytes[this.#at] ?? 0;
    this.#at += 1;
    return byte;
  }

  /** One of the values. */
  one<T>(values: readonly [T, ...T[]]): T {
    return values[this.byte() % values.length] ?? values[0];
  }

  /** As often as chance has it, `most` times at most. */
  several<T>(most: number, make: () => T): T[] {
    return Array.from({ length: this.byte() % (most + 1) }, make);
  }

  /** Half of the time nothing. */
  maybe<T>(make: () => T): T | undefined {
    return this.byte() % 2 === 0 ? undefined : make();
  }

  text(): string {
    const length = this.byte() % 12;
    const from = this.#at;
    this.#at += length;
    return this.#bytes.toString("utf8", Math.min(from, this.#bytes.length), this.#at);
  }
}

/** Without what is undefined, as a document lacks it. */
export function present<T extends object>(fields: T): T {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T;
}
