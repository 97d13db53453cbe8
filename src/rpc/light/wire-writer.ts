// SPDX-License-Identifier: Apache-2.0

/** Writes protobuf's wire format. */
export class WireWriter {
  #parts: Uint8Array[] = [];

  uint(value: number): void {
    const bytes: number[] = [];
    let rest = value >>> 0;
    for (; rest > 127; rest >>>= 7) bytes.push((rest & 127) | 128);
    bytes.push(rest);
    this.#parts.push(Buffer.from(bytes));
  }

  /** 64 bits; a negative number takes ten bytes. */
  long(value: bigint): void {
    const bytes: number[] = [];
    let rest = BigInt.asUintN(64, value);
    for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
    bytes.push(Number(rest));
    this.#parts.push(Buffer.from(bytes));
  }

  double(value: number): void {
    const bytes = Buffer.allocUnsafe(8);
    bytes.writeDoubleLE(value);
    this.#parts.push(bytes);
  }

  /** Bytes with their length before them. */
  bytes(value: Uint8Array): void {
    this.uint(value.length);
    this.#parts.push(value);
  }

  finish(): Buffer {
    return Buffer.concat(this.#parts);
  }
}
