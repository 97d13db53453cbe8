// SPDX-License-Identifier: Apache-2.0
import { Broken } from "./slow-spdy.ts";

/** A message, or as much of it as there is, with the control frames that came before its end. */
export interface SlowMessage {
  readonly bytes: number[];
  whole: boolean;
}

export interface SlowSocket {
  readonly messages: readonly SlowMessage[];
  /** What goes back: payloads of pongs in hex, and the code of a close. */
  readonly answers: readonly string[];
  readonly isClosed: boolean;
}

/** RFC 6455 written for reading, a byte at a time, all bytes at hand. The limits are repeated here on purpose. */
export function slowSocket(input: Buffer): SlowSocket {
  const messages: SlowMessage[] = [];
  const answers: string[] = [];
  let at = 0;
  const number = (bytes: number): bigint => {
    let value = 0n;
    for (let index = 0; index < bytes; index += 1)
      value = value * 256n + BigInt(input[at + index] ?? 0);
    at += bytes;
    return value;
  };
  const open = (): SlowMessage | undefined => messages.findLast(({ whole }) => !whole);
  try {
    while (input.length - at >= 2) {
      const first = Number(number(1));
      const second = Number(number(1));
      if (second < 128) throw new Broken("no mask");
      const short = second % 128;
      const more = short === 126 ? 2 : short === 127 ? 8 : 0;
      if (input.length - at < more + 4) break;
      const length = more === 0 ? BigInt(short) : number(more);
      const mask = [0, 1, 2, 3].map((index) => input[at + index] ?? 0);
      at += 4;
      const opcode = first % 16;
      const fin = first >= 128;
      if (first % 128 >= 16) throw new Broken("reserved bits");
      if (length > 2n ** 53n - 1n) throw new Broken("length");
      if (![0, 1, 2, 8, 9, 10].includes(opcode)) throw new Broken("opcode");
      if (opcode >= 8 && (!fin || short > 125)) throw new Broken("control frame");
      if (opcode < 8 && (opcode === 0) === (open() === undefined)) throw new Broken("sequence");
      const left = BigInt(input.length - at);
      const here = Number(length < left ? length : left);
      const bytes: number[] = [];
      for (let index = 0; index < here; index += 1)
        bytes.push((input[at + index] ?? 0) ^ (mask[index % 4] ?? 0));
      at += here;
      const isWhole = left >= length;
      if (opcode >= 8) {
        if (!isWhole) break;
        if (opcode === 9) answers.push(`pong ${Buffer.from(bytes).toString("hex")}`);
        if (opcode !== 8) continue;
        const code = bytes.length === 0 ? 1000 : (bytes[0] ?? 0) * 256 + (bytes[1] ?? 0);
        if (bytes.length === 1 || !isCloseCode(code)) throw new Broken("close code");
        return { messages, answers: [...answers, `close ${code}`], isClosed: true };
      }
      if (opcode !== 0) messages.push({ bytes: [], whole: false });
      const message = open();
      for (const byte of bytes) message?.bytes.push(byte);
      if (message) message.whole = fin && isWhole;
      if (!isWhole) break;
    }
    // Without its mask bit a frame is refused as soon as that is there.
  } catch (error) {
    if (!(error instanceof Broken)) throw error;
    return { messages, answers: [...answers, "close 1002"], isClosed: true };
  }
  return { messages, answers, isClosed: false };
}

/** Those that RFC 6455, section 7.4, lets an endpoint send. */
function isCloseCode(code: number): boolean {
  return (
    (code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code)) ||
    (code >= 3000 && code < 5000)
  );
}
