// SPDX-License-Identifier: Apache-2.0
import { maxPayloadBytes, preface } from "../frames.ts";
import { errorCodes, frameHeadBytes } from "./frames.ts";

/** The peer has broken HTTP/2: its connection ends with this code. */
export class ConnectionError extends Error {
  readonly code: number;

  constructor(code: number, what: string) {
    super(what);
    this.code = code;
  }
}

export interface FrameListener {
  /** The payload is part of what was read: who keeps it copies it. */
  frame(
    head: { readonly type: number; readonly flag: number; readonly id: number },
    payload: Buffer,
  ): void;
}

/** Cuts what a client sends into frames. Of a frame that is not whole it keeps 16 KiB at most. */
export class FrameReader {
  readonly #listener: FrameListener;
  #rest: Buffer | undefined;
  #isOpen = false;

  constructor(listener: FrameListener) {
    this.#listener = listener;
  }

  /** ConnectionError where it is no HTTP/2, or a frame is larger than was allowed. */
  push(chunk: Buffer): void {
    const bytes = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk]);
    this.#rest = undefined;
    let at = 0;
    if (!this.#isOpen) {
      const length = Math.min(preface.length, bytes.length);
      if (preface.compare(bytes, 0, length, 0, length) !== 0) {
        throw new ConnectionError(errorCodes.protocol, "no HTTP/2");
      }
      if (length < preface.length) {
        this.#rest = bytes;
        return;
      }
      this.#isOpen = true;
      at = preface.length;
    }
    while (bytes.length - at >= frameHeadBytes) {
      const length = bytes.readUIntBE(at, 3);
      if (length > maxPayloadBytes) throw new ConnectionError(errorCodes.frameSize, "a long frame");
      const from = at + frameHeadBytes;
      if (bytes.length < from + length) break;
      const type = bytes[at + 3] ?? 0;
      const flag = bytes[at + 4] ?? 0;
      const id = bytes.readUInt32BE(at + 5) & 0x7fff_ffff;
      at = from + length;
      this.#listener.frame({ type, flag, id }, bytes.subarray(from, at));
    }
    if (at < bytes.length) this.#rest = at === 0 ? bytes : Buffer.from(bytes.subarray(at));
  }
}
