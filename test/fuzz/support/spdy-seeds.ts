// SPDX-License-Identifier: Apache-2.0
import { constants, deflateSync } from "node:zlib";
import { headerDictionary } from "../../../src/streaming/spdy/dictionary.ts";

type Headers = Readonly<Record<string, string>>;

/** A client's frames, whose header blocks are stored, not compressed: a fuzzer can change what is in them. */
export class SpdyClientBytes {
  readonly #frames: Buffer[] = [];
  #first = true;

  get bytes(): Buffer {
    return Buffer.concat(this.#frames);
  }

  open(id: number, headers: Headers, flags = 0): this {
    return this.control(
      1,
      flags,
      Buffer.concat([word(id), word(0), Buffer.alloc(2), this.#stored(headers)]),
    );
  }

  headers(id: number, headers: Headers): this {
    return this.control(8, 0, Buffer.concat([word(id), this.#stored(headers)]));
  }

  control(type: number, flags: number, payload: Buffer): this {
    const header = Buffer.alloc(8);
    header.writeUInt16BE(0x8003, 0);
    header.writeUInt16BE(type, 2);
    header.writeUInt32BE(flags * 0x100_0000 + payload.length, 4);
    this.#frames.push(header, payload);
    return this;
  }

  data(id: number, text: string | Buffer, fin = false): this {
    const payload = Buffer.from(text as string);
    const header = Buffer.concat([word(id), word((fin ? 0x100_0000 : 0) + payload.length)]);
    this.#frames.push(header, payload);
    return this;
  }

  reset(id: number): this {
    return this.control(3, 0, Buffer.concat([word(id), word(5)]));
  }

  ping(id: number): this {
    return this.control(6, 0, word(id));
  }

  #stored(headers: Headers): Buffer {
    const block = headerBlock(headers);
    const start = Buffer.from(this.#first ? "780100" : "00", "hex");
    this.#first = false;
    const lengths = Buffer.alloc(4);
    lengths.writeUInt16LE(block.length, 0);
    lengths.writeUInt16LE(0xffff - block.length, 2);
    return Buffer.concat([start, lengths, block]);
  }
}

/** A connection's first SYN_STREAM as Go's client sends it, deflated with the dictionary. */
export function deflatedOpen(id: number, headers: Headers, finish = false): Buffer {
  const finishFlush = finish ? constants.Z_FINISH : constants.Z_SYNC_FLUSH;
  const block = deflateSync(headerBlock(headers), { dictionary: headerDictionary, finishFlush });
  const payload = Buffer.concat([word(id), word(0), Buffer.alloc(2), block]);
  return new SpdyClientBytes().control(1, 0, payload).bytes;
}

export function headerBlock(headers: Headers): Buffer {
  const entries = Object.entries(headers);
  const text = (value: string): Buffer =>
    Buffer.concat([word(Buffer.byteLength(value)), Buffer.from(value)]);
  const pairs = entries.flatMap(([name, value]) => [text(name), text(value)]);
  return Buffer.concat([word(entries.length), ...pairs]);
}

function word(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}
