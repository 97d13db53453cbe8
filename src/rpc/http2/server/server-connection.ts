// SPDX-License-Identifier: Apache-2.0
import type { Socket } from "node:net";
import { startTimer } from "../../../base/timers.ts";
import { Flag, FrameType, maxPayloadBytes, numberFrame } from "../frames.ts";
import { ConnectionError, FrameReader } from "./frame-reader.ts";
import { errorCodes, firstWindow, frameHead, goAwayFrame, largestWindow } from "./frames.ts";
import { HpackDecoder } from "./hpack-decoder.ts";
import { areWellFormed, requestHeaders } from "./request-headers.ts";
import { ServerStream, type StreamConnection } from "./server-stream.ts";

/** Answers go on into the socket until so much waits there for the client to read. */
const fullBytes = 64 * 1024;
/** A client that sends without reading is not read either while so much waits for it. */
const deafBytes = 1024 * 1024;
/** A header block, in so many frames. */
const maxBlockBytes = 64 * 1024;
const maxBlockFrames = 16;
/** Calls that a client may begin and cancel at once, and in a second. */
const cancelBurst = 1000;
const cancelsASecond = 33;
/** What goes out in one turn is copied together up to here: one system call, and no list of pieces. */
const smallBytes = 32 * 1024;
const farewellMs = 2000;

type Head = { readonly type: number; readonly flag: number; readonly id: number };

interface OpenBlock {
  readonly id: number;
  readonly endsStream: boolean;
  readonly parts: Buffer[];
  bytes: number;
}

/** One client's HTTP/2 connection, as a server has it. All of the peer's mistakes end here. */
export class ServerConnection implements StreamConnection {
  sendWindow = firstWindow;
  readonly #socket: Socket;
  readonly #serve: (stream: ServerStream) => void;
  readonly #onClosed: () => void;
  readonly #reader = new FrameReader(this);
  readonly #hpack = new HpackDecoder();
  readonly #streams = new Map<number, ServerStream>();
  readonly #waiting = new Set<ServerStream>();
  #out: Buffer[] = [];
  #outBytes = 0;
  #isFlushDue = false;
  #isSettled = false;
  #isEnding = false;
  #isClosed = false;
  #lastId = 0;
  /** Streams after this one are not served: it was the last when we said goodbye. */
  #servedId = largestWindow;
  #peerStreamWindow = firstWindow;
  #receiveWindow = firstWindow;
  #block: OpenBlock | undefined;
  #cancels = cancelBurst;
  #cancelsAt = performance.now();

  constructor(
    socket: Socket,
    {
      serve,
      closed,
    }: { readonly serve: (stream: ServerStream) => void; readonly closed: () => void },
  ) {
    this.#socket = socket;
    this.#serve = serve;
    this.#onClosed = closed;
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    socket.on("drain", () => this.#drained());
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#close());
    this.push(frameHead(FrameType.settings, 0, 0, 0));
  }

  get isFull(): boolean {
    return this.#outBytes + this.#socket.writableLength > fullBytes;
  }

  push(bytes: Buffer): void {
    if (this.#isClosed) return;
    this.#out.push(bytes);
    this.#outBytes += bytes.length;
    if (this.#isFlushDue) return;
    this.#isFlushDue = true;
    process.nextTick(() => this.#flush());
  }

  waits(stream: ServerStream, isWaiting: boolean): void {
    if (isWaiting) this.#waiting.add(stream);
    else this.#waiting.delete(stream);
  }

  forget(stream: ServerStream): void {
    this.#streams.delete(stream.id);
    if (this.#isEnding && this.#streams.size === 0) this.#end();
  }

  /** Serves no further stream, and closes once those that are open have ended. */
  shutDown(): void {
    if (this.#isEnding || this.#isClosed) return;
    this.#isEnding = true;
    this.#servedId = this.#lastId;
    this.push(goAwayFrame(this.#lastId, errorCodes.none));
    if (this.#streams.size === 0) this.#end();
  }

  destroy(): void {
    this.#flush();
    this.#socket.destroy();
  }

  #end(): void {
    this.#flush();
    this.#socket.end();
  }

  #flush(): void {
    this.#isFlushDue = false;
    const out = this.#out;
    if (out.length === 0 || this.#socket.destroyed) return;
    const bytes = this.#outBytes;
    this.#out = [];
    this.#outBytes = 0;
    if (bytes <= smallBytes) this.#socket.write(Buffer.concat(out, bytes));
    else {
      this.#socket.cork();
      for (const part of out) this.#socket.write(part);
      this.#socket.uncork();
    }
    if (this.#socket.writableLength > deafBytes) this.#socket.pause();
    else if (!this.#socket.writableNeedDrain && this.#waiting.size > 0) this.#pumpWaiting();
  }

  #drained(): void {
    this.#socket.resume();
    this.#pumpWaiting();
  }

  #pumpWaiting(): void {
    // Each time another is the first: who waits on comes after all the others.
    const waiting = Array.from(this.#waiting);
    this.#waiting.clear();
    for (const stream of waiting) stream.pump();
  }

  #receive(chunk: Buffer): void {
    if (this.#isClosed) return;
    try {
      this.#reader.push(chunk);
    } catch (error) {
      this.#fail(error instanceof ConnectionError ? error.code : errorCodes.internal);
    }
  }

  #fail(code: number): void {
    this.push(goAwayFrame(this.#lastId, code));
    this.#end();
    this.#close();
    // What it still sends goes nowhere, and it has a moment to read why.
    this.#socket.resume();
    this.#socket.destroySoon();
    const timer = startTimer(() => this.#socket.destroy(), farewellMs).unref();
    this.#socket.once("close", () => timer.stop());
  }

  #close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const stream of this.#streams.values()) stream.close();
    this.#out = [];
    this.#outBytes = 0;
    this.#onClosed();
  }

  frame(head: Head, payload: Buffer): void {
    if (this.#isClosed) return;
    const { type, id } = head;
    if (!this.#isSettled && type !== FrameType.settings) throw broken("no settings first");
    const block = this.#block;
    if (block && (type !== FrameType.continuation || id !== block.id)) {
      throw broken("a header block was cut");
    }
    switch (type) {
      case FrameType.data:
        return this.#data(head, payload);
      case FrameType.headers:
        return this.#headers(head, payload);
      case FrameType.priority:
        return expect(id !== 0, payload.length === 5);
      case FrameType.resetStream:
        return this.#reset(id, payload);
      case FrameType.settings:
        return this.#settings(head, payload);
      case FrameType.pushPromise:
        throw broken("a client promises");
      case FrameType.ping:
        expect(id === 0, payload.length === 8);
        return head.flag & Flag.ack ? undefined : this.#pong(payload);
      case FrameType.goAway:
        return expect(id === 0, payload.length >= 8);
      case FrameType.windowUpdate:
        return this.#windowUpdate(id, payload);
      case FrameType.continuation:
        return this.#continuation(head, payload);
      default:
    }
  }

  #data({ flag, id }: Head, payload: Buffer): void {
    if (id === 0 || id > this.#lastId) throw broken("data of no stream");
    this.#receiveWindow -= payload.length;
    if (this.#receiveWindow < 0) throw new ConnectionError(errorCodes.flowControl, "too much");
    // A stream that is not read must not hold up the others: it has a window of its own.
    if (this.#receiveWindow < firstWindow / 2) {
      this.push(numberFrame(FrameType.windowUpdate, 0, firstWindow - this.#receiveWindow));
      this.#receiveWindow = firstWindow;
    }
    const chunk = unpadded(flag, payload);
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    const mistake = stream.receive(chunk, payload.length);
    if (mistake !== undefined) return stream.reset(mistake);
    if (flag & Flag.endStream) stream.endOfRequest();
  }

  #headers({ flag, id }: Head, payload: Buffer): void {
    if (id % 2 === 0) throw broken("a stream with an even number");
    let block = unpadded(flag, payload);
    if (flag & Flag.priority) {
      if (block.length < 5) throw new ConnectionError(errorCodes.frameSize, "a short priority");
      block = block.subarray(5);
    }
    const endsStream = (flag & Flag.endStream) !== 0;
    if (flag & Flag.endHeaders) return this.#headerBlock(id, endsStream, block);
    this.#block = { id, endsStream, parts: [Buffer.from(block)], bytes: block.length };
  }

  #continuation({ flag }: Head, payload: Buffer): void {
    const block = this.#block;
    if (block === undefined) throw broken("a continuation of nothing");
    block.parts.push(Buffer.from(payload));
    block.bytes += payload.length;
    if (block.bytes > maxBlockBytes || block.parts.length > maxBlockFrames) {
      throw new ConnectionError(errorCodes.calm, "a long header block");
    }
    if (!(flag & Flag.endHeaders)) return;
    this.#block = undefined;
    this.#headerBlock(block.id, block.endsStream, Buffer.concat(block.parts));
  }

  #headerBlock(id: number, endsStream: boolean, block: Buffer): void {
    const list = this.#hpack.decode(block);
    if (list === undefined) throw new ConnectionError(errorCodes.compression, "no header block");
    if (id <= this.#lastId) return this.#trailers(id, endsStream, list.fields);
    this.#lastId = id;
    if (id > this.#servedId) return;
    const headers = list.isTooLarge ? undefined : requestHeaders(list.fields);
    if (headers === undefined) {
      this.#countCancel();
      this.push(
        numberFrame(
          FrameType.resetStream,
          id,
          list.isTooLarge ? errorCodes.calm : errorCodes.protocol,
        ),
      );
      return;
    }
    const stream = new ServerStream(this, id, { headers, sendWindow: this.#peerStreamWindow });
    this.#streams.set(id, stream);
    this.#serve(stream);
    if (endsStream) stream.endOfRequest();
  }

  #trailers(id: number, endsStream: boolean, fields: readonly string[]): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    if (stream.hasEnded) return stream.reset(errorCodes.streamClosed);
    const hasOwn = fields.some((field, at) => at % 2 === 0 && field.startsWith(":"));
    if (!endsStream || hasOwn || !areWellFormed(fields)) return stream.reset(errorCodes.protocol);
    stream.endOfRequest();
  }

  #reset(id: number, payload: Buffer): void {
    expect(id !== 0 && id <= this.#lastId, payload.length === 4);
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    this.#countCancel();
    stream.close();
  }

  /** A call costs us more than its cancellation costs the client. */
  #countCancel(): void {
    const now = performance.now();
    const earned = ((now - this.#cancelsAt) / 1000) * cancelsASecond;
    this.#cancels = Math.min(cancelBurst, this.#cancels + earned) - 1;
    this.#cancelsAt = now;
    if (this.#cancels < 0) throw new ConnectionError(errorCodes.calm, "cancels too much");
  }

  #settings({ flag, id }: Head, payload: Buffer): void {
    if (flag & Flag.ack) {
      if (!this.#isSettled) throw broken("no settings first");
      return expect(id === 0, payload.length === 0);
    }
    expect(id === 0, payload.length % 6 === 0);
    this.#isSettled = true;
    for (let at = 0; at < payload.length; at += 6) {
      this.#setting(payload.readUInt16BE(at), payload.readUInt32BE(at + 2));
    }
    this.push(frameHead(FrameType.settings, Flag.ack, 0, 0));
    this.#pumpWaiting();
  }

  /** Our own answers need no table, and their frames are the smallest that must be taken. */
  #setting(name: number, value: number): void {
    if (name === 2) expect(value <= 1, true);
    else if (name === 5) expect(value >= maxPayloadBytes && value < 2 ** 24, true);
    else if (name === 4) {
      if (value > largestWindow) throw new ConnectionError(errorCodes.flowControl, "a window");
      const change = value - this.#peerStreamWindow;
      this.#peerStreamWindow = value;
      for (const stream of this.#streams.values()) {
        if (stream.widen(change, largestWindow)) continue;
        throw new ConnectionError(errorCodes.flowControl, "a window");
      }
    }
  }

  #pong(payload: Buffer): void {
    this.push(frameHead(FrameType.ping, Flag.ack, 0, 8));
    this.push(Buffer.from(payload));
  }

  #windowUpdate(id: number, payload: Buffer): void {
    expect(id <= this.#lastId, payload.length === 4);
    const more = payload.readUInt32BE(0) & largestWindow;
    if (id !== 0) return this.#widen(id, more);
    if (more === 0) throw broken("a window update of nothing");
    this.sendWindow += more;
    if (this.sendWindow > largestWindow) {
      throw new ConnectionError(errorCodes.flowControl, "a window");
    }
    this.#pumpWaiting();
  }

  #widen(id: number, more: number): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    if (more === 0) return stream.reset(errorCodes.protocol);
    if (!stream.widen(more, largestWindow)) return stream.reset(errorCodes.flowControl);
    if (this.#waiting.has(stream)) stream.pump();
  }
}

function broken(what: string): ConnectionError {
  return new ConnectionError(errorCodes.protocol, what);
}

/** Whether a frame stands where it may, and has the size that it must have. */
function expect(isRight: boolean, hasSize: boolean): void {
  if (!hasSize) throw new ConnectionError(errorCodes.frameSize, "a frame's size");
  if (!isRight) throw broken("a frame out of place");
}

function unpadded(flag: number, payload: Buffer): Buffer {
  if (!(flag & Flag.padded)) return payload;
  const padding = payload[0];
  if (padding === undefined || padding >= payload.length) throw broken("too much padding");
  return payload.subarray(1, payload.length - padding);
}
