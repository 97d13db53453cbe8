// SPDX-License-Identifier: Apache-2.0
import { constants, inflateSync } from "node:zlib";
import { headerDictionary } from "../../../src/streaming/spdy/dictionary.ts";

/** A frame as the wire has it, whole or, for data, as much of it as there is. */
export interface SlowFrame {
  readonly control: boolean;
  readonly type: number;
  readonly flags: number;
  /** Of a data frame. */
  readonly id: number;
  readonly payload: Buffer;
}

/** What is wrong with a client's bytes. */
export class Broken extends Error {}

/**
 * SPDY/3.1 framing written for reading, all bytes at hand. Throws Broken, after handing on what came before.
 * The limits are repeated here on purpose.
 */
export function slowFrames(bytes: Buffer, take: (frame: SlowFrame) => void): void {
  let at = 0;
  while (at + 8 <= bytes.length) {
    const control = bytes.readUInt8(at) >= 128;
    const flags = bytes.readUInt8(at + 4);
    const length =
      bytes.readUInt8(at + 5) * 65_536 + bytes.readUInt8(at + 6) * 256 + bytes.readUInt8(at + 7);
    const payload = bytes.subarray(at + 8, at + 8 + length);
    if (control) {
      if (bytes.readUInt16BE(at) !== 0x8003) throw new Broken("version");
      if (length > 65_536) throw new Broken("too long");
      if (payload.length < length) return;
      take({ control, type: bytes.readUInt16BE(at + 2), flags, id: 0, payload });
    } else {
      const whole = payload.length === length;
      const id = bytes.readUInt32BE(at);
      take({ control, type: 0, flags: whole ? flags : flags & ~1, id, payload });
    }
    at += 8 + length;
  }
}

/** Inflates the header blocks of a connection by inflating all of them anew each time. */
export class SlowHeaders {
  #blocks = Buffer.alloc(0);
  #seen = 0;

  read(block: Buffer): ReadonlyMap<string, string> {
    this.#blocks = Buffer.concat([this.#blocks, block]);
    const all = inflated(this.#blocks);
    const whole = all.subarray(this.#seen);
    this.#seen = all.length;
    if (whole.length > 16 * 1024) throw new Broken("too large");
    return slowHeaders(whole);
  }
}

function inflated(bytes: Buffer): Buffer {
  const options = {
    dictionary: headerDictionary,
    finishFlush: constants.Z_SYNC_FLUSH,
    maxOutputLength: 4 * 1024 * 1024,
    info: true,
  };
  let answer: unknown;
  try {
    answer = inflateSync(bytes, options);
  } catch (cause) {
    throw new Broken("zlib", { cause });
  }
  const { buffer, engine } = answer as { buffer: Buffer; engine: { bytesWritten: number } };
  if (engine.bytesWritten < bytes.length) throw new Broken("bytes behind the stream's end");
  return buffer;
}

function slowHeaders(block: Buffer): ReadonlyMap<string, string> {
  let rest = block;
  const word = (): number => {
    if (rest.length < 4) throw new Broken("headers end early");
    const value = rest.readUInt32BE(0);
    rest = rest.subarray(4);
    return value;
  };
  const text = (): string => {
    const length = word();
    if (length > rest.length) throw new Broken("headers end early");
    const value = rest.subarray(0, length).toString("utf8");
    rest = rest.subarray(length);
    return value;
  };
  const count = word();
  if (count > 64) throw new Broken("too many headers");
  const pairs: [string, string][] = [];
  for (let index = 0; index < count; index += 1) pairs.push([text().toLowerCase(), text()]);
  return new Map(pairs.reverse()); // of the same name the first one stays
}
