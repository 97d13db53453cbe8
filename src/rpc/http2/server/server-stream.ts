// SPDX-License-Identifier: Apache-2.0
import { Flag, FrameType, maxPayloadBytes } from "../frames.ts";
import { errorCodes, firstWindow, frameHead } from "./frames.ts";
import type { RequestHeaders } from "./request-headers.ts";

/** What a stream needs of its connection. */
export interface StreamConnection {
  /** Appends to what goes out; all of one turn goes out together. */
  push(bytes: Buffer): void;
  /** True while what went out is not to become more: `pump` is called when it has become less. */
  readonly isFull: boolean;
  /** How much data the client takes now of all streams. */
  sendWindow: number;
  /** The stream waits for the client, or waits no more. */
  waits(stream: ServerStream, isWaiting: boolean): void;
  /** It is closed. */
  forget(stream: ServerStream): void;
}

/** Who serves a stream is told by these. */
export interface StreamOwner {
  /** A piece of the request. Its bytes count against the client's window until `consumed`. */
  data(chunk: Buffer): void;
  /** The request is whole. */
  end(): void;
  /** The stream is closed: everything is sent, or the client has cancelled, or has gone. Called once. */
  closed(): void;
}

interface Piece {
  bytes: Buffer;
  readonly size: number;
  readonly sent: (() => void) | undefined;
}

/** Of messages beyond this each frame is a copy. */
const copyBytes = 32 * 1024;

/** What the client may send before it is told more: told in halves. */
const tellBytes = firstWindow >> 1;

/** One request and its answer, on a connection with others. */
export class ServerStream {
  readonly id: number;
  readonly headers: RequestHeaders;
  readonly #connection: StreamConnection;
  #owner: StreamOwner | undefined;
  #isClosed = false;
  #requestEnded = false;
  #hasHead = false;
  /** What the client may still send, and what of it has been consumed since it was told. */
  #receiveWindow = firstWindow;
  #consumed = 0;
  #sendWindow: number;
  readonly #pieces: Piece[] = [];
  #trailers: Buffer | undefined;

  constructor(
    connection: StreamConnection,
    id: number,
    { headers, sendWindow }: { readonly headers: RequestHeaders; readonly sendWindow: number },
  ) {
    this.#connection = connection;
    this.id = id;
    this.headers = headers;
    this.#sendWindow = sendWindow;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** True once the answer has begun. */
  get hasHead(): boolean {
    return this.#hasHead;
  }

  set owner(owner: StreamOwner) {
    this.#owner = owner;
  }

  /** Begins the answer with an encoded header block. */
  respond(block: Buffer): void {
    if (this.#isClosed || this.#hasHead) return;
    this.#hasHead = true;
    this.#pushHeaders(0, block);
  }

  /** Appends to the answer; `sent` is called when the client's window has taken all of it. */
  write(bytes: Buffer, sent?: () => void): void {
    if (this.#isClosed || this.#trailers) return;
    this.#pieces.push({ bytes, size: bytes.length, sent });
    this.pump();
  }

  /** Ends the answer with an encoded header block, once all before it has been sent. */
  finish(block: Buffer): void {
    if (this.#isClosed || this.#trailers) return;
    this.#hasHead = true;
    this.#trailers = block;
    this.pump();
  }

  /** Closes the stream; what has not been sent is dropped. */
  reset(code: number): void {
    if (this.#isClosed) return;
    this.#pushReset(code);
    this.close();
  }

  /** So much of what came has been dealt with: the client may send as much again. */
  consumed(bytes: number): void {
    if (this.#isClosed || this.#requestEnded) return;
    this.#consumed += bytes;
    if (this.#consumed < tellBytes) return;
    this.#receiveWindow += this.#consumed;
    const head = frameHead(FrameType.windowUpdate, 0, this.id, 4);
    const more = Buffer.allocUnsafe(4);
    more.writeUInt32BE(this.#consumed);
    this.#consumed = 0;
    this.#connection.push(head);
    this.#connection.push(more);
  }

  /** Sends what both windows and the socket take. */
  pump(): void {
    const connection = this.#connection;
    for (let [piece] = this.#pieces; piece !== undefined; [piece] = this.#pieces) {
      const most = Math.min(this.#sendWindow, connection.sendWindow, maxPayloadBytes);
      if (piece.bytes.length > 0 && (most <= 0 || connection.isFull)) {
        connection.waits(this, true);
        return;
      }
      const part = piece.bytes.length <= most ? piece.bytes : piece.bytes.subarray(0, most);
      connection.push(frameHead(FrameType.data, 0, this.id, part.length));
      // What waits in the socket must not hold all of a large message: that has been given back by then.
      connection.push(piece.size > copyBytes ? Buffer.from(part) : part);
      this.#sendWindow -= part.length;
      connection.sendWindow -= part.length;
      if (part.length < piece.bytes.length) piece.bytes = piece.bytes.subarray(part.length);
      else {
        this.#pieces.shift();
        piece.sent?.();
        if (this.#isClosed) return;
      }
    }
    connection.waits(this, false);
    if (this.#trailers) this.#end(this.#trailers);
  }

  /** The client has changed its window. False where that is more than HTTP/2 has. */
  widen(bytes: number, most: number): boolean {
    this.#sendWindow += bytes;
    return this.#sendWindow <= most;
  }

  /** A piece of the request has come. An error code where the client may not send it. */
  receive(chunk: Buffer, windowBytes: number): number | undefined {
    if (this.#requestEnded) return errorCodes.streamClosed;
    this.#receiveWindow -= windowBytes;
    if (this.#receiveWindow < 0) return errorCodes.flowControl;
    if (chunk.length < windowBytes) this.consumed(windowBytes - chunk.length);
    if (chunk.length > 0) this.#owner?.data(chunk);
    return undefined;
  }

  /** The client has sent all of its request. */
  endOfRequest(): void {
    if (this.#requestEnded || this.#isClosed) return;
    this.#requestEnded = true;
    this.#owner?.end();
  }

  get hasEnded(): boolean {
    return this.#requestEnded;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#pieces.length = 0;
    this.#connection.waits(this, false);
    this.#connection.forget(this);
    this.#owner?.closed();
  }

  #end(block: Buffer): void {
    this.#pushHeaders(Flag.endStream, block);
    // Whatever the client would still send, nobody waits for it.
    if (!this.#requestEnded) this.#pushReset(errorCodes.none);
    this.close();
  }

  /** A block goes into as many frames as it takes. */
  #pushHeaders(flag: number, block: Buffer): void {
    for (let at = 0; at === 0 || at < block.length; at += maxPayloadBytes) {
      const part = block.subarray(at, at + maxPayloadBytes);
      const type = at === 0 ? FrameType.headers : FrameType.continuation;
      const last = at + maxPayloadBytes >= block.length ? Flag.endHeaders : 0;
      this.#connection.push(frameHead(type, (at === 0 ? flag : 0) | last, this.id, part.length));
      this.#connection.push(part);
    }
  }

  #pushReset(code: number): void {
    const number = Buffer.allocUnsafe(4);
    number.writeUInt32BE(code);
    this.#connection.push(frameHead(FrameType.resetStream, 0, this.id, 4));
    this.#connection.push(number);
  }
}
