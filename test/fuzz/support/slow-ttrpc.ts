// SPDX-License-Identifier: Apache-2.0

/** A frame of ttrpc as the wire has it: whole, or too long to be taken. */
export interface SlowFrame {
  readonly streamId: number;
  readonly type: number;
  readonly payload: Buffer;
  readonly isOversized: boolean;
}

const mostBytes = 4 * 1024 * 1024;

/** The frames of a connection, all bytes at hand. The limit is repeated here on purpose. */
export function* slowFrames(bytes: Buffer): Generator<SlowFrame> {
  for (let at = 0; at + 10 <= bytes.length; ) {
    const length = bytes.readUInt32BE(at);
    const payload = bytes.subarray(at + 10, at + 10 + length);
    const isOversized = length > mostBytes;
    if (payload.length < length && !isOversized) return;
    yield { streamId: bytes.readUInt32BE(at + 4), type: bytes[at + 8] ?? 0, payload, isOversized };
    at += 10 + length;
  }
}
