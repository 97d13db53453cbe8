// SPDX-License-Identifier: Apache-2.0

/** Writes in D-Bus's way of marshalling, little-endian: each value stands at a multiple of its type's alignment. */
export class DbusWriter {
  #buffer = Buffer.alloc(256);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  align(to: number): void {
    this.#take((to - (this.#length % to)) % to);
  }

  byte(value: number): void {
    const at = this.#take(1);
    this.#buffer.writeUInt8(value, at);
  }

  uint32(value: number): void {
    this.align(4);
    const at = this.#take(4);
    this.#buffer.writeUInt32LE(value, at);
  }

  uint64(value: bigint): void {
    this.align(8);
    const at = this.#take(8);
    this.#buffer.writeBigUInt64LE(value, at);
  }

  /** Bytes and a zero after them. */
  text(value: string): void {
    const bytes = Buffer.from(value);
    const at = this.#take(bytes.byteLength + 1);
    bytes.copy(this.#buffer, at);
  }

  raw(bytes: Uint8Array): void {
    const at = this.#take(bytes.byteLength);
    this.#buffer.set(bytes, at);
  }

  /** A length, then what `write` writes from the next multiple of `alignment` on, which the length counts. */
  counted(alignment: number, write: () => void): void {
    this.uint32(0);
    const lengthAt = this.#length - 4;
    this.align(alignment);
    const start = this.#length;
    write();
    this.#buffer.writeUInt32LE(this.#length - start, lengthAt);
  }

  #take(count: number): number {
    const at = this.#length;
    this.#length += count;
    if (this.#length > this.#buffer.byteLength) {
      const larger = Buffer.alloc(2 * this.#length);
      this.#buffer.copy(larger);
      this.#buffer = larger;
    }
    return at;
  }
}

/** A value with its type. */
export interface DbusValue {
  readonly signature: string;
  readonly alignment: 1 | 4 | 8;
  write(to: DbusWriter): void;
}

function textOf(signature: "s" | "o", value: string): DbusValue {
  const write = (to: DbusWriter): void => {
    to.uint32(Buffer.byteLength(value));
    to.text(value);
  };
  return { signature, alignment: 4, write };
}

export const string = (value: string): DbusValue => textOf("s", value);
export const objectPath = (value: string): DbusValue => textOf("o", value);
export const uint32 = (value: number): DbusValue => ({
  signature: "u",
  alignment: 4,
  write: (to) => to.uint32(value),
});
export const uint64 = (value: bigint): DbusValue => ({
  signature: "t",
  alignment: 8,
  write: (to) => to.uint64(value),
});
export const boolean = (value: boolean): DbusValue => ({
  signature: "b",
  alignment: 4,
  write: (to) => to.uint32(value ? 1 : 0),
});

/** A type's name as a value. */
export const signature = (value: string): DbusValue => ({
  signature: "g",
  alignment: 1,
  write: (to) => writeSignature(to, value),
});

export const struct = (...parts: readonly DbusValue[]): DbusValue => ({
  signature: `(${parts.map((part) => part.signature).join("")})`,
  alignment: 8,
  write: (to) => {
    to.align(8);
    for (const part of parts) part.write(to);
  },
});

/** A value of any type, which goes with it. */
export const variant = (value: DbusValue): DbusValue => ({
  signature: "v",
  alignment: 1,
  write: (to) => {
    writeSignature(to, value.signature);
    to.align(value.alignment);
    value.write(to);
  },
});

/** Elements of one type. */
export const array = (
  type: Pick<DbusValue, "signature" | "alignment">,
  elements: readonly DbusValue[],
): DbusValue => ({
  signature: `a${type.signature}`,
  alignment: 4,
  write: (to) => {
    to.counted(type.alignment, () => {
      for (const element of elements) element.write(to);
    });
  },
});

function writeSignature(to: DbusWriter, value: string): void {
  to.byte(value.length);
  to.text(value);
}
