// SPDX-License-Identifier: Apache-2.0
import { CloseCode, largestControlPayload, Opcode, unmask } from "./frames.ts";
import { WebSocketError } from "./websocket-error.ts";

export interface WebSocketHandler {
  /** A piece of a message. `first` and `last` mark its ends; a whole message may be one empty piece. */
  onData(bytes: Buffer, first: boolean, last: boolean): void;
  /** A ping, pong or close with its payload. */
  onControl(opcode: number, payload: Buffer): void;
}

interface Frame {
  readonly opcode: number;
  readonly last: boolean;
  readonly mask: Buffer;
  readonly length: number;
  done: number;
}

const nothing = Buffer.alloc(0);
const longestHeader = 14;

/**
 * Cuts a client's bytes into WebSocket frames (RFC 6455), wherever the network cut them. Messages are
 * handed on in pieces and never gathered, so a client may send a message of any length, and what is held
 * is bounded by one control frame. Bytes are unmasked in place. Text is not checked to be UTF-8.
 */
export class WebSocketParser {
  readonly #handler: WebSocketHandler;
  #header = Buffer.alloc(longestHeader);
  #headerBytes = 0;
  #frame: Frame | undefined;
  #control: Buffer[] = [];
  #inMessage = false;
  #fresh = false;

  constructor(handler: WebSocketHandler) {
    this.#handler = handler;
  }

  /** Takes the next bytes of the connection, and changes them. Throws WebSocketError; it is of no use then. */
  push(chunk: Buffer): void {
    let bytes = chunk;
    while (bytes.length > 0) {
      bytes = this.#frame === undefined ? this.#takeHeader(bytes) : this.#takePayload(bytes);
    }
  }

  #takeHeader(bytes: Buffer): Buffer {
    const wanted = this.#wantedHeader();
    const taken = Math.min(wanted - this.#headerBytes, bytes.length);
    bytes.copy(this.#header, this.#headerBytes, 0, taken);
    this.#headerBytes += taken;
    if (this.#headerBytes === this.#wantedHeader()) this.#startFrame();
    return bytes.subarray(taken);
  }

  /** The header's length is known with its second byte. */
  #wantedHeader(): number {
    if (this.#headerBytes < 2) return 2;
    const second = this.#header.readUInt8(1);
    if ((second & 0x80) === 0) throw broken("frame without a mask");
    const length = second & 0x7f;
    return 6 + (length === 126 ? 2 : length === 127 ? 8 : 0);
  }

  #startFrame(): void {
    const header = this.#header;
    const wanted = this.#headerBytes;
    this.#headerBytes = 0;
    const first = header.readUInt8(0);
    const opcode = first & 0x0f;
    const last = (first & 0x80) !== 0;
    if ((first & 0x70) !== 0) throw broken("frame with reserved bits");
    const length = payloadLength(header);
    this.#check(opcode, last, header.readUInt8(1) & 0x7f);
    const mask = Buffer.from(header.subarray(wanted - 4, wanted));
    this.#frame = { opcode, last, mask, length, done: 0 };
    if (length === 0) this.#take(this.#frame, nothing);
  }

  /** `length` is the header's own, which tells of longer ones: a control frame has none of those, however short it is. */
  #check(opcode: number, last: boolean, length: number): void {
    if (opcode >= Opcode.close) {
      if (opcode > Opcode.pong) throw broken(`opcode ${opcode}`);
      if (!last || length > largestControlPayload) throw broken("control frame in parts");
      return;
    }
    if (opcode > Opcode.binary) throw broken(`opcode ${opcode}`);
    if ((opcode === Opcode.continuation) !== this.#inMessage) {
      throw broken(this.#inMessage ? "message within a message" : "continuation of nothing");
    }
    if (opcode !== Opcode.continuation) this.#fresh = true;
    this.#inMessage = !last;
  }

  #takePayload(bytes: Buffer): Buffer {
    const frame = this.#frame;
    if (frame === undefined) return bytes;
    const piece = bytes.subarray(0, frame.length - frame.done);
    unmask(piece, frame.mask, frame.done);
    frame.done += piece.length;
    this.#take(frame, piece);
    return bytes.subarray(piece.length);
  }

  #take(frame: Frame, piece: Buffer): void {
    const complete = frame.done === frame.length;
    if (complete) this.#frame = undefined;
    if (frame.opcode < Opcode.close) {
      const first = this.#fresh;
      this.#fresh = false;
      this.#handler.onData(piece, first, complete && frame.last);
      return;
    }
    this.#control.push(piece);
    if (!complete) return;
    const payload = Buffer.concat(this.#control);
    this.#control = [];
    this.#handler.onControl(frame.opcode, payload);
  }
}

function payloadLength(header: Buffer): number {
  const length = header.readUInt8(1) & 0x7f;
  if (length === 126) return header.readUInt16BE(2);
  if (length < 126) return length;
  const long = header.readBigUInt64BE(2);
  if (long > BigInt(Number.MAX_SAFE_INTEGER)) throw broken("frame without end");
  return Number(long);
}

function broken(message: string): WebSocketError {
  return new WebSocketError(CloseCode.protocolError, message);
}
