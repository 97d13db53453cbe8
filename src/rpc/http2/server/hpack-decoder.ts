// SPDX-License-Identifier: Apache-2.0
import { staticFields } from "../header-block.ts";
import { decodeHuffman } from "../huffman.ts";

/** A header block, decoded. */
export interface HeaderList {
  /** Names and values in turn, as Latin-1. */
  readonly fields: readonly string[];
  /** There were more than are taken: `fields` has the first of them. */
  readonly isTooLarge: boolean;
}

/** What a peer may keep in our table: HTTP/2's default, which we never change. */
const tableBytes = 4096;
/** Of each entry, besides its name and value. */
const entryBytes = 32;
const maxFields = 128;
const maxListBytes = 128 * 1024;
const longestInteger = 2 ** 28;

/** One direction of one connection: what the peer has put into its table stays for the blocks that follow. */
export class HpackDecoder {
  /** The newest at the end. */
  readonly #table: (readonly [string, string])[] = [];
  #tableBytes = 0;
  #limitBytes = tableBytes;
  #block: Uint8Array = new Uint8Array(0);
  #at = 0;
  #fields: string[] = [];
  #listBytes = 0;
  #isTooLarge = false;

  /** Undefined for a block that is none: the connection has ended then, nobody can know its table. */
  decode(block: Buffer): HeaderList | undefined {
    this.#block = block;
    this.#at = 0;
    this.#fields = [];
    this.#listBytes = 0;
    this.#isTooLarge = false;
    while (this.#at < block.length) if (!this.#readField()) return undefined;
    const fields = this.#fields;
    this.#fields = [];
    return { fields, isTooLarge: this.#isTooLarge };
  }

  #readField(): boolean {
    const first = this.#block[this.#at] ?? 0;
    if (first & 0x80) {
      const index = this.#integer(7);
      const field = index === undefined ? undefined : this.#fieldAt(index);
      if (field === undefined) return false;
      this.#add(field);
      return true;
    }
    if ((first & 0xe0) === 0x20) {
      // Only at a block's beginning.
      if (this.#fields.length > 0) return false;
      const limit = this.#integer(5);
      if (limit === undefined || limit > tableBytes) return false;
      this.#limitBytes = limit;
      this.#evict(0);
      return true;
    }
    const isKept = (first & 0x40) !== 0;
    const index = this.#integer(isKept ? 6 : 4);
    if (index === undefined) return false;
    const name = index === 0 ? this.#text() : this.#fieldAt(index)?.[0];
    const value = name === undefined ? undefined : this.#text();
    if (name === undefined || value === undefined) return false;
    const field = [name, value] as const;
    if (isKept) this.#keep(field);
    this.#add(field);
    return true;
  }

  #add([name, value]: readonly [string, string]): void {
    this.#listBytes += name.length + value.length + entryBytes;
    if (this.#fields.length >= 2 * maxFields || this.#listBytes > maxListBytes) {
      this.#isTooLarge = true;
    } else this.#fields.push(name, value);
  }

  #fieldAt(index: number): readonly [string, string] | undefined {
    const known = staticFields();
    if (index <= known.length) return known[index - 1];
    return this.#table[this.#table.length - (index - known.length)];
  }

  #keep(field: readonly [string, string]): void {
    const bytes = field[0].length + field[1].length + entryBytes;
    this.#evict(bytes);
    if (bytes > this.#limitBytes) return;
    this.#table.push(field);
    this.#tableBytes += bytes;
  }

  /** Makes room: the oldest go. There are 128 at most. */
  #evict(bytes: number): void {
    while (this.#table.length > 0 && this.#tableBytes + bytes > this.#limitBytes) {
      const [name, value] = this.#table.shift() ?? ["", ""];
      this.#tableBytes -= name.length + value.length + entryBytes;
    }
  }

  #integer(prefixBits: number): number | undefined {
    const most = 2 ** prefixBits - 1;
    let value = (this.#block[this.#at++] ?? 0) & most;
    if (value < most) return value;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.#block[this.#at++];
      if (byte === undefined) return undefined;
      value += (byte & 127) * scale;
      if (value > longestInteger || scale > longestInteger) return undefined;
      if (byte < 128) return value;
    }
  }

  #text(): string | undefined {
    const isCoded = ((this.#block[this.#at] ?? 0) & 0x80) !== 0;
    const length = this.#integer(7);
    if (length === undefined || this.#at + length > this.#block.length) return undefined;
    const from = this.#at;
    this.#at += length;
    const bytes = this.#block.subarray(from, this.#at) as Buffer;
    if (!isCoded) return bytes.toString("latin1");
    try {
      return decodeHuffman(bytes);
    } catch {
      return undefined;
    }
  }
}
