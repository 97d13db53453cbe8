// SPDX-License-Identifier: Apache-2.0

/** Control frame types of SPDY/3.1 that we know; others are skipped. */
export const FrameType = {
  synStream: 1,
  synReply: 2,
  rstStream: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  headers: 8,
  windowUpdate: 9,
} as const;

/** Status codes of RST_STREAM. */
export const ResetCode = {
  protocolError: 1,
  invalidStream: 2,
  refusedStream: 3,
  cancel: 5,
  streamInUse: 8,
  streamAlreadyClosed: 9,
} as const;

export const frameHeaderBytes = 8;
/** FLAG_FIN of DATA, SYN_STREAM and SYN_REPLY: the sender will send no more on this stream. */
export const finFlag = 0x01;
export const largestPayload = 0xff_ffff;

const version = 3;

/** The eight bytes before a DATA frame's payload, which the caller writes after them. */
export function dataHeader(streamId: number, payloadBytes: number, fin: boolean): Buffer {
  const header = Buffer.allocUnsafe(frameHeaderBytes);
  header.writeUInt32BE(streamId, 0);
  header.writeUInt32BE((fin ? finFlag << 24 : 0) + payloadBytes, 4);
  return header;
}

export function controlFrame(type: number, flags: number, payload: Buffer): Buffer {
  const frame = Buffer.allocUnsafe(frameHeaderBytes + payload.length);
  frame.writeUInt16BE(0x8000 | version, 0);
  frame.writeUInt16BE(type, 2);
  frame.writeUInt32BE((flags << 24) + payload.length, 4);
  payload.copy(frame, frameHeaderBytes);
  return frame;
}

export function resetFrame(streamId: number, code: number): Buffer {
  return controlFrame(FrameType.rstStream, 0, words(streamId, code));
}

export function pingFrame(id: number): Buffer {
  return controlFrame(FrameType.ping, 0, words(id));
}

/** `status` 0 is a normal end, 1 a protocol error. */
export function goAwayFrame(lastStreamId: number, status: number): Buffer {
  return controlFrame(FrameType.goAway, 0, words(lastStreamId, status));
}

/** `headers` is a compressed header block. */
export function replyFrame(streamId: number, headers: Buffer): Buffer {
  return controlFrame(FrameType.synReply, 0, Buffer.concat([words(streamId), headers]));
}

/** Big-endian 32-bit words, of which the payloads of control frames are made. */
export function words(...values: readonly number[]): Buffer {
  const bytes = Buffer.allocUnsafe(values.length * 4);
  for (const [index, value] of values.entries()) bytes.writeUInt32BE(value, index * 4);
  return bytes;
}
