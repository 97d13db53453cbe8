// SPDX-License-Identifier: Apache-2.0

import { finFlag, frameHeaderBytes } from "./frames.ts";
import { SpdyError } from "./spdy-error.ts";

/** Control frames are held whole. The streams of Kubernetes need some hundred bytes. */
export const largestControlFrame = 64 * 1024;

export interface FrameHandler {
  /** A piece of a DATA frame, as it came in; valid for as long as it is kept. `fin` with the last piece. */
  onData(streamId: number, bytes: Buffer, fin: boolean): void;
  /** A whole control frame. Its payload is valid for as long as it is kept. */
  onControl(type: number, flags: number, payload: Buffer): void;
}

const nothing = Buffer.alloc(0);

/**
 * Cuts the bytes of a SPDY/3.1 connection into frames, wherever the network cut them. DATA is handed
 * on in pieces and never gathered, so what the parser holds is bounded by one control frame. The
 * handler may `pause` it in the middle of a chunk; the rest is kept until `resume`.
 */
export class FrameParser {
  readonly #handler: FrameHandler;
  /** Bytes of a header or a control frame that is not complete yet. */
  #held: Buffer[] = [];
  #heldBytes = 0;
  #data: { readonly streamId: number; readonly fin: boolean; left: number } | undefined;
  #paused = false;
  #rest: Buffer = nothing;

  constructor(handler: FrameHandler) {
    this.#handler = handler;
  }

  /** Bytes that wait for `resume`. */
  get waitingBytes(): number {
    return this.#rest.length;
  }

  pause(): void {
    this.#paused = true;
  }

  /** Goes on with what was kept. Throws as `push` does. */
  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    const rest = this.#rest;
    this.#rest = nothing;
    if (rest.length > 0) this.push(rest);
  }

  /**
   * Takes the next bytes of the connection. Throws SpdyError for what is no SPDY/3; the parser must not be used
   * afterwards.
   */
  push(chunk: Buffer): void {
    let bytes = chunk;
    while (bytes.length > 0) {
      if (this.#paused) {
        this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
        return;
      }
      bytes = this.#data === undefined ? this.#takeFrame(bytes) : this.#takeData(bytes);
    }
  }

  #takeData(bytes: Buffer): Buffer {
    const frame = this.#data;
    if (frame === undefined) return bytes;
    const piece = bytes.subarray(0, frame.left);
    frame.left -= piece.length;
    const last = frame.left === 0;
    if (last) this.#data = undefined;
    this.#handler.onData(frame.streamId, piece, last && frame.fin);
    return bytes.subarray(piece.length);
  }

  /** Takes bytes up to the end of a frame header or a control frame; answers what is left over. */
  #takeFrame(chunk: Buffer): Buffer {
    const wanted = this.#wantedBytes();
    if (this.#heldBytes === 0 && chunk.length >= frameHeaderBytes) {
      const size = frameSize(chunk);
      if (chunk.length >= size) {
        this.#finishFrame(chunk.subarray(0, size));
        return chunk.subarray(size);
      }
    }
    const piece = chunk.subarray(0, wanted - this.#heldBytes);
    this.#held.push(piece);
    this.#heldBytes += piece.length;
    if (this.#heldBytes === wanted) {
      const whole = Buffer.concat(this.#held);
      if (whole.length === frameSize(whole)) {
        this.#held = [];
        this.#heldBytes = 0;
        this.#finishFrame(whole);
      } else {
        this.#held = [whole];
      }
    }
    return chunk.subarray(piece.length);
  }

  #wantedBytes(): number {
    const first = this.#held[0];
    if (first === undefined || this.#heldBytes < frameHeaderBytes) return frameHeaderBytes;
    return frameSize(first);
  }

  #finishFrame(frame: Buffer): void {
    const flags = frame.readUInt8(4);
    if (isControl(frame)) {
      this.#handler.onControl(frame.readUInt16BE(2), flags, frame.subarray(frameHeaderBytes));
      return;
    }
    const streamId = frame.readUInt32BE(0);
    const left = payloadBytes(frame);
    const fin = (flags & finFlag) !== 0;
    if (left > 0) this.#data = { streamId, fin, left };
    else this.#handler.onData(streamId, nothing, fin);
  }
}

function isControl(header: Buffer): boolean {
  return (header.readUInt8(0) & 0x80) !== 0;
}

function payloadBytes(header: Buffer): number {
  return header.readUIntBE(5, 3);
}

/** How much is gathered before a frame is looked at: the header of a DATA frame, all of a control frame. */
function frameSize(header: Buffer): number {
  if (!isControl(header)) return frameHeaderBytes;
  const version = header.readUInt16BE(0) & 0x7fff;
  if (version !== 3) throw new SpdyError(`frame of SPDY version ${version}: want 3`);
  const bytes = payloadBytes(header);
  if (bytes > largestControlFrame) {
    throw new SpdyError(`control frame of ${bytes} bytes: at most ${largestControlFrame}`);
  }
  return frameHeaderBytes + bytes;
}
