// SPDX-License-Identifier: Apache-2.0

/**
 * Values out of an input's bytes, so that a fuzzer which changes bytes changes values. What comes after the
 * end is all zeros: each input is a whole one.
 */
export class ByteSource {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get left(): number {
    return Math.max(0, this.#bytes.length - this.#at);
  }

  byte(): number {
    const value = this.#bytes[this.#at] ?? 0;
    this.#at += 1;
    return value;
  }

  bool(): boolean {
    return (this.byte() & 1) === 1;
  }

  /** 0 … limit - 1, for limits up to 65536. */
  below(limit: number): number {
    const value = limit <= 256 ? this.byte() : this.byte() * 256 + this.byte();
    return value % limit;
  }

  pick<T>(choices: readonly [T, ...T[]] | readonly T[]): T {
    return choices[this.below(choices.length)] as T;
  }

  /** Of 64 bits, most often a small one, and often one beside a power of two. */
  unsigned(): bigint {
    const kind = this.byte();
    if (kind < 128) return BigInt(kind);
    const power = 1n << BigInt(this.byte() % 65);
    const value = kind < 192 ? power + BigInt(this.byte() % 3) - 1n : this.#wide();
    return BigInt.asUintN(64, value);
  }

  signed(): bigint {
    return BigInt.asIntN(64, this.unsigned());
  }

  /** So many bytes at most, as they are. */
  bytes(max: number): Buffer {
    const length = Math.min(this.below(max + 1), this.left);
    const taken = this.#bytes.subarray(this.#at, this.#at + length);
    this.#at += length;
    return taken;
  }

  /** All that is left. */
  rest(): Buffer {
    const taken = this.#bytes.subarray(this.#at);
    this.#at = this.#bytes.length;
    return taken;
  }

  /** UTF-8 of so many bytes at most; what is none becomes the replacement character. */
  text(max: number): string {
    return this.bytes(max).toString("utf8");
  }

  list<T>(max: number, make: () => T): T[] {
    const count = this.left === 0 ? 0 : this.below(max + 1);
    return Array.from({ length: count }, make);
  }

  /** Half of the time nothing. */
  maybe<T>(make: () => T): T | undefined {
    return this.bool() ? make() : undefined;
  }

  #wide(): bigint {
    let value = 0n;
    for (let index = 0; index < 8; index += 1) value = value * 256n + BigInt(this.byte());
    return value;
  }
}
