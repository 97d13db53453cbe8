// SPDX-License-Identifier: Apache-2.0
import { GrowingBuffer } from "../base/growing-buffer.ts";

/** Kinds of ttrpc messages. Old shims (containerd 1.6) know no data frames. */
export const FrameType = { request: 1, response: 2, data: 3 } as const;

export const headerBytes = 10;
/** What either side accepts in one frame; longer ones are refused, and the connection goes on. */
export const maxPayloadBytes = 4 * 1024 * 1024;

/**
 * One ttrpc frame. On the wire: payload length (u32), stream id (u32), type (u8), flags (u8), all big
 * endian, then the payload.
 */
export interface Frame {
  readonly streamId: number;
  readonly type: number;
  readonly flags: number;
  readonly payload: Buffer;
}

/** Stands for a frame whose payload was over the limit and has been skipped. */
export interface OversizedFrame {
  readonly streamId: number;
  readonly type: number;
  readonly oversizedBytes: number;
}

export function encodeFrame(frame: Frame): Buffer {
  const bytes = Buffer.allocUnsafe(headerBytes + frame.payload.byteLength);
  bytes.writeUInt32BE(frame.payload.byteLength, 0);
  bytes.writeUInt32BE(frame.streamId, 4);
  bytes.writeUInt8(frame.type, 8);
  bytes.writeUInt8(frame.flags, 9);
  frame.payload.copy(bytes, headerBytes);
  return bytes;
}

/**
 * Cuts a byte stream into frames. Chunks may split anywhere; payloads that arrived in one chunk are
 * views of it, not copies. Never holds more than one frame of the limit, however small the chunks are.
 */
export class FrameReader {
  readonly #maxPayloadBytes: number;
  /** The beginning of a frame whose rest is still to come. */
  #begun: GrowingBuffer;
  /** Bytes of an oversized payload that are still to be dropped. */
  #toSkip = 0;

  constructor(limitBytes = maxPayloadBytes) {
    this.#maxPayloadBytes = limitBytes;
    this.#begun = this.#emptyBuffer();
  }

  /** True between frames: a stream that ends elsewhere was cut off. */
  get isEmpty(): boolean {
    return this.#begun.length === 0 && this.#toSkip === 0;
  }

  /** Takes the next chunk; answers the frames it completed. */
  push(chunk: Buffer): (Frame | OversizedFrame)[] {
    const frames: (Frame | OversizedFrame)[] = [];
    let rest = this.#skip(chunk);
    while (rest.byteLength > 0) {
      if (this.#begun.length > 0) {
        rest = this.#goOn(rest, frames);
        continue;
      }
      const size = this.#sizeOf(rest);
      if (rest.byteLength < size) {
        this.#begun.add(rest);
        break;
      }
      frames.push(this.#frameOf(rest.subarray(0, size)));
      rest = this.#skip(rest.subarray(size));
    }
    return frames;
  }

  /** Adds to the frame that has begun no more than it lacks; answers what is left over. */
  #goOn(bytes: Buffer, frames: (Frame | OversizedFrame)[]): Buffer {
    const taken = this.#begun.add(
      bytes.subarray(0, this.#sizeOf(this.#begun.bytes()) - this.#begun.length),
    );
    const begun = this.#begun.bytes();
    if (begun.byteLength === this.#sizeOf(begun)) {
      this.#begun = this.#emptyBuffer(); // the frame keeps the bytes
      frames.push(this.#frameOf(begun));
    }
    return this.#skip(bytes.subarray(taken));
  }

  /** What is gathered before it is looked at again: a header, a whole frame, of an oversized one the header. */
  #sizeOf(bytes: Buffer): number {
    if (bytes.byteLength < headerBytes) return headerBytes;
    const length = bytes.readUInt32BE(0);
    return length > this.#maxPayloadBytes ? headerBytes : headerBytes + length;
  }

  #frameOf(bytes: Buffer): Frame | OversizedFrame {
    const length = bytes.readUInt32BE(0);
    const streamId = bytes.readUInt32BE(4);
    const type = bytes.readUInt8(8);
    if (length > this.#maxPayloadBytes) {
      this.#toSkip = length;
      return { streamId, type, oversizedBytes: length };
    }
    return { streamId, type, flags: bytes.readUInt8(9), payload: bytes.subarray(headerBytes) };
  }

  #skip(chunk: Buffer): Buffer {
    const dropped = Math.min(this.#toSkip, chunk.byteLength);
    this.#toSkip -= dropped;
    return chunk.subarray(dropped);
  }

  #emptyBuffer(): GrowingBuffer {
    return new GrowingBuffer(headerBytes + this.#maxPayloadBytes);
  }
}
