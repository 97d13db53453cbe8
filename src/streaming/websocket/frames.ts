// SPDX-License-Identifier: Apache-2.0

/** RFC 6455, section 5.2. */
export const Opcode = {
  continuation: 0,
  text: 1,
  binary: 2,
  close: 8,
  ping: 9,
  pong: 10,
} as const;

/** RFC 6455, section 7.4.1. */
export const CloseCode = { normal: 1000, goingAway: 1001, protocolError: 1002 } as const;

export const largestControlPayload = 125;

/**
 * What goes before `payloadBytes` bytes of payload in a whole, unmasked message. `prefix` is payload too
 * and comes on top: a message's first byte need not be copied together with the rest.
 */
export function frameHeader(opcode: number, payloadBytes: number, prefix?: number): Buffer {
  const extra = prefix === undefined ? 0 : 1;
  const length = payloadBytes + extra;
  const lengthBytes = length < 126 ? 0 : length < 65_536 ? 2 : 8;
  const header = Buffer.allocUnsafe(2 + lengthBytes + extra);
  header[0] = 0x80 | opcode;
  if (lengthBytes === 0) {
    header[1] = length;
  } else if (lengthBytes === 2) {
    header[1] = 126;
    header.writeUInt16BE(length, 2);
  } else {
    header[1] = 127;
    header.writeBigUInt64BE(BigInt(length), 2);
  }
  if (prefix !== undefined) header[header.length - 1] = prefix;
  return header;
}

export function closePayload(code: number): Buffer {
  const payload = Buffer.allocUnsafe(2);
  payload.writeUInt16BE(code);
  return payload;
}

/**
 * Removes (or puts on) the mask of a frame's payload, in place. `offset` is how much of the payload came before. Word
 * by word: byte by byte it would cost more than all other work on a message.
 */
export function unmask(bytes: Buffer, mask: Buffer, offset: number): void {
  const end = bytes.length;
  const at = (index: number): number => mask[(offset + index) & 3] ?? 0;
  let index = 0;
  for (; index < end && ((bytes.byteOffset + index) & 3) !== 0; index += 1) {
    bytes[index] = (bytes[index] ?? 0) ^ at(index);
  }
  const wordCount = (end - index) >> 2;
  if (wordCount > 0) {
    const key = Buffer.from([at(index), at(index + 1), at(index + 2), at(index + 3)]);
    const word = littleEndian ? key.readInt32LE() : key.readInt32BE();
    const words = new Int32Array(bytes.buffer, bytes.byteOffset + index, wordCount);
    for (let at = 0; at < wordCount; at += 1) words[at] = (words[at] as number) ^ word;
    index += wordCount * 4;
  }
  for (; index < end; index += 1) bytes[index] = (bytes[index] ?? 0) ^ at(index);
}

const littleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
