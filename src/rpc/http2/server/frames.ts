// SPDX-License-Identifier: Apache-2.0
import { FrameType } from "../frames.ts";

export const errorCodes = {
  none: 0,
  protocol: 1,
  internal: 2,
  flowControl: 3,
  streamClosed: 5,
  frameSize: 6,
  refusedStream: 7,
  cancel: 8,
  compression: 9,
  calm: 11,
} as const;

export const frameHeadBytes = 9;
/** How much a side may send before it is told more, of a stream and of all of them. */
export const firstWindow = 65_535;
export const largestWindow = 2 ** 31 - 1;

/** A frame's first nine bytes. */
export function frameHead(type: number, flag: number, id: number, length: number): Buffer {
  const head = Buffer.allocUnsafe(frameHeadBytes);
  head[0] = length >> 16;
  head[1] = length >> 8;
  head[2] = length;
  head[3] = type;
  head[4] = flag;
  head.writeUInt32BE(id, 5);
  return head;
}

/** The last frame of a connection, or the first of its end. */
export function goAwayFrame(lastId: number, code: number): Buffer {
  const frame = Buffer.concat([frameHead(FrameType.goAway, 0, 0, 8), Buffer.alloc(8)]);
  frame.writeUInt32BE(lastId, frameHeadBytes);
  frame.writeUInt32BE(code, frameHeadBytes + 4);
  return frame;
}
