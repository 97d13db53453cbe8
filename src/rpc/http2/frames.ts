// SPDX-License-Identifier: Apache-2.0

/** Types of HTTP/2's frames: RFC 9113, section 6. */
export const FrameType = {
  data: 0,
  headers: 1,
  resetStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const Flag = { endStream: 1, ack: 1, endHeaders: 4, padded: 8, priority: 32 } as const;

export const Setting = {
  headerTableSize: 1,
  enablePush: 2,
  initialWindowSize: 4,
  maxFrameSize: 5,
} as const;

export interface Frame {
  readonly type: number;
  readonly flags: number;
  /** 0 for the connection itself. */
  readonly stream: number;
  readonly payload: Buffer;
}

export const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
/** What a peer may put into one frame unless it is allowed more. */
export const maxPayloadBytes = 16_384;
const headBytes = 9;
const settingBytes = 6;

export function frame(
  type: number,
  flags: number,
  stream: number,
  payload: Uint8Array = Buffer.alloc(0),
): Buffer {
  const bytes = Buffer.allocUnsafe(headBytes + payload.length);
  bytes.writeUIntBE(payload.length, 0, 3);
  bytes[3] = type;
  bytes[4] = flags;
  bytes.writeUInt32BE(stream, 5);
  bytes.set(payload, headBytes);
  return bytes;
}

/** A frame whose payload is one number: how much more may be sent, or why a stream ends. */
export function numberFrame(type: number, stream: number, value: number): Buffer {
  const payload = Buffer.allocUnsafe(4);
  payload.writeUInt32BE(value);
  return frame(type, 0, stream, payload);
}

export function settingsFrame(settings: ReadonlyMap<number, number>): Buffer {
  const payload = Buffer.allocUnsafe(settings.size * settingBytes);
  let at = 0;
  for (const [name, value] of settings) {
    payload.writeUInt16BE(name, at);
    payload.writeUInt32BE(value, at + 2);
    at += settingBytes;
  }
  return frame(FrameType.settings, 0, 0, payload);
}

export function* settingsOf(payload: Buffer): Generator<readonly [name: number, value: number]> {
  for (let at = 0; at + settingBytes <= payload.length; at += settingBytes) {
    yield [payload.readUInt16BE(at), payload.readUInt32BE(at + 2)];
  }
}

/** Cuts a connection's bytes into frames. */
export class FrameReader {
  #rest: Buffer = Buffer.alloc(0);

  /** The frames that are complete with `chunk`. Throws over one that is larger than the peer may send. */
  *push(chunk: Buffer): Generator<Frame> {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    while (this.#rest.length >= headBytes) {
      const length = this.#rest.readUIntBE(0, 3);
      if (length > maxPayloadBytes) throw new Error(`a frame of ${length} bytes`);
      if (this.#rest.length < headBytes + length) return;
      const bytes = this.#rest;
      this.#rest = bytes.subarray(headBytes + length);
      yield {
        type: bytes[3] ?? 0,
        flags: bytes[4] ?? 0,
        stream: bytes.readUInt32BE(5) & 0x7fff_ffff,
        payload: bytes.subarray(headBytes, headBytes + length),
      };
    }
  }
}

/** What a frame of data or headers carries, without padding and priority. Throws where there is more of these than frame. */
export function contentOf({ type, flags, payload }: Frame): Buffer {
  const isPadded = (flags & Flag.padded) !== 0;
  const padding = isPadded ? (payload[0] ?? 0) : 0;
  const hasPriority = type === FrameType.headers && (flags & Flag.priority) !== 0;
  const from = (isPadded ? 1 : 0) + (hasPriority ? 5 : 0);
  if (from + padding > payload.length) throw new Error("a frame of more padding than bytes");
  return payload.subarray(from, payload.length - padding);
}
