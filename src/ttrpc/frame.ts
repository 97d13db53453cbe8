// SPDX-License-Identifier: Apache-2.0

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
 * views of it, not copies. Never holds more than one frame of the limit.
 */
export class FrameReader {
  readonly #maxPayloadBytes: number;
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  /** Bytes of an oversized payload that are still to be dropped. */
  #toSkip = 0;

  constructor(limitBytes = maxPayloadBytes) {
    this.#maxPayloadBytes = limitBytes;
  }

  /** True between frames: a stream that ends elsewhere was cut off. */
  get isEmpty(): boolean {
    return this.#pendingBytes === 0 && this.#toSkip === 0;
  }

  /** Takes the next chunk; answers the frames it completed. */
  push(chunk: Buffer): (Frame | OversizedFrame)[] {
    const frames: (Frame | OversizedFrame)[] = [];
    let rest = this.#skip(chunk);
    if (rest.byteLength === 0) return frames;
    rest = this.#join(rest);
    while (rest.byteLength >= headerBytes) {
      const length = rest.readUInt32BE(0);
      const streamId = rest.readUInt32BE(4);
      const type = rest.readUInt8(8);
      if (length > this.#maxPayloadBytes) {
        frames.push({ streamId, type, oversizedBytes: length });
        this.#toSkip = length;
        rest = this.#skip(rest.subarray(headerBytes));
        continue;
      }
      const end = headerBytes + length;
      if (rest.byteLength < end) break;
      const payload = rest.subarray(headerBytes, end);
      frames.push({ streamId, type, flags: rest.readUInt8(9), payload });
      rest = rest.subarray(end);
    }
    if (rest.byteLength > 0) this.#keep(rest);
    return frames;
  }

  #skip(chunk: Buffer): Buffer {
    const dropped = Math.min(this.#toSkip, chunk.byteLength);
    this.#toSkip -= dropped;
    return chunk.subarray(dropped);
  }

  // Joins only when a frame can be complete: a 4 MiB payload in 64 KiB chunks is copied once.
  #join(chunk: Buffer): Buffer {
    if (this.#pendingBytes === 0) return chunk;
    this.#keep(chunk);
    if (this.#pendingBytes < this.#neededBytes()) return Buffer.alloc(0);
    const joined = Buffer.concat(this.#pending, this.#pendingBytes);
    this.#pending = [];
    this.#pendingBytes = 0;
    return joined;
  }

  #keep(chunk: Buffer): void {
    this.#pending.push(chunk);
    this.#pendingBytes += chunk.byteLength;
  }

  #neededBytes(): number {
    const first = this.#pending[0];
    if (first === undefined || first.byteLength < headerBytes) return headerBytes;
    const length = first.readUInt32BE(0);
    return length > this.#maxPayloadBytes ? headerBytes : headerBytes + length;
  }
}
