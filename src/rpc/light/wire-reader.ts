// SPDX-License-Identifier: Apache-2.0

/** Reads protobuf's wire format, up to where `end` is. Everything throws a RangeError beyond it. */
export class WireReader {
  readonly #bytes: Buffer;
  #at = 0;
  end: number;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.end = bytes.length;
  }

  get isAtEnd(): boolean {
    return this.#at >= this.end;
  }

  /** The low 32 bits of a number, without a sign. */
  uint32(): number {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.#byte();
      if (shift < 32) value = (value | ((byte & 127) << shift)) >>> 0;
      if (byte < 128) return value;
    }
    throw new RangeError("a number of more than ten bytes");
  }

  uint64(): bigint {
    let low = 0;
    let value = 0n;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.#byte();
      if (shift < 28) low |= (byte & 127) << shift;
      else value |= BigInt(byte & 127) << BigInt(shift);
      if (byte < 128) return BigInt.asUintN(64, value | BigInt(low));
    }
    throw new RangeError("a number of more than ten bytes");
  }

  double(): number {
    return this.#bytes.readDoubleLE(this.#skip(8));
  }

  bytes(): Buffer {
    const length = this.uint32();
    const from = this.#skip(length);
    return this.#bytes.subarray(from, from + length);
  }

  string(): string {
    const length = this.uint32();
    const from = this.#skip(length);
    return this.#bytes.toString("utf8", from, from + length);
  }

  /** Reads what a length stands before, as a message of its own. */
  within<T>(read: () => T): T {
    const { end } = this;
    const length = this.uint32();
    if (length > end - this.#at) throw new RangeError("a message is cut off");
    this.end = this.#at + length;
    try {
      return read();
    } finally {
      this.#at = this.end;
      this.end = end;
    }
  }

  /** A field that nobody knows. */
  skip(wireType: number): void {
    if (wireType === 0) this.uint32();
    else if (wireType === 1) this.#skip(8);
    else if (wireType === 2) this.#skip(this.uint32());
    else if (wireType === 5) this.#skip(4);
    else throw new RangeError(`wire type ${wireType}`);
  }

  #byte(): number {
    return this.#bytes[this.#skip(1)] ?? 0;
  }

  /** Where these bytes begin. */
  #skip(length: number): number {
    const from = this.#at;
    if (length > this.end - from) throw new RangeError("a message is cut off");
    this.#at = from + length;
    return from;
  }
}
