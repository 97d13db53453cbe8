// SPDX-License-Identifier: Apache-2.0
import net from "node:net";
import { fault, isFault, RuntimeFault } from "../../base/errors.ts";
import {
  contentOf,
  Flag,
  type Frame,
  FrameReader,
  FrameType,
  frame,
  maxPayloadBytes,
  numberFrame,
  preface,
  Setting,
  settingsFrame,
  settingsOf,
} from "./frames.ts";
import { decodeHeaders, encodeHeaders } from "./header-block.ts";

type Fields = readonly (readonly [name: string, value: string])[];

/** What the peer sends on a stream. Its end comes once: with headers, with data, or as a failure. */
export interface StreamListener {
  headers(fields: ReadonlyMap<string, string>, isEnd: boolean): void;
  /** `taken` is what these bytes took of the stream's window: `allow` gives it back. */
  data(bytes: Buffer, isEnd: boolean, taken: number): void;
  failed(error: RuntimeFault): void;
}

/** How much a peer may send on a stream ahead of whoever reads it. */
export const windowBytes = 1 << 20;
/** Of all streams together: each is held back by its own. */
const connectionWindowBytes = 1 << 30;
const firstWindowBytes = 65_535;
const mostHeaderBytes = 64 * 1024;
const largestId = 2 ** 31 - 1;
const cancelCode = 8;

interface Stream {
  readonly id: number;
  readonly listener: StreamListener;
  sendWindow: number;
  /** What was sent ends the request. */
  isSent: boolean;
}

/** There was no connection at all; a server's own UNAVAILABLE is a plain fault. */
export class Unconnected extends RuntimeFault {}

/** Whether a call ended because its connection did, in the middle of it. */
export function isLost(error: unknown): boolean {
  return isFault(error) && error.details?.["lost"] === true;
}

/** The client's side of HTTP/2 on a unix socket, as much of it as gRPC needs. It connects at once. */
export class Http2Connection {
  readonly #socket: net.Socket;
  readonly #reader = new FrameReader();
  readonly #streams = new Map<number, Stream>();
  readonly #waiting: (() => void)[] = [];
  #nextId = 1;
  #sendWindow = firstWindowBytes;
  #firstSendWindow = firstWindowBytes;
  #received = 0;
  /** Headers that continue in the next frames. */
  #block: { readonly stream: number; readonly flags: number; readonly parts: Buffer[] } | undefined;
  #failure: RuntimeFault | undefined;
  #isLeaving = false;

  constructor(path: string) {
    this.#socket = net.connect({ path });
    this.#socket.on("data", (chunk: Buffer) => this.#read(chunk));
    this.#socket.on("drain", () => this.#wake());
    const lost = (message: string, cause?: Error): void =>
      this.#fail(
        isConnected
          ? fault("UNAVAILABLE", message, { cause, details: { lost: true } })
          : new Unconnected("UNAVAILABLE", message, { cause }),
      );
    let isConnected = false;
    this.#socket.once("connect", () => (isConnected = true));
    this.#socket.on("error", (error) => lost(error.message, error));
    this.#socket.on("close", () => lost("the daemon went away before it had answered"));
    const settings = new Map<number, number>([
      [Setting.headerTableSize, 0],
      [Setting.enablePush, 0],
      [Setting.initialWindowSize, windowBytes],
    ]);
    const more = connectionWindowBytes - firstWindowBytes;
    this.#socket.write(
      Buffer.concat([
        preface,
        settingsFrame(settings),
        numberFrame(FrameType.windowUpdate, 0, more),
      ]),
    );
  }

  /** Whether a new call may begin here. */
  get isOpen(): boolean {
    return this.#failure === undefined && !this.#isLeaving && this.#nextId < largestId;
  }

  /** Whether all that was begun here has ended, and nothing begins any more. */
  get isOver(): boolean {
    return !this.isOpen && this.#streams.size === 0;
  }

  /** Begins a request. */
  open(fields: Fields, listener: StreamListener): Stream {
    if (this.#failure !== undefined) throw this.#failure;
    const stream = { id: this.#nextId, listener, sendWindow: this.#firstSendWindow, isSent: false };
    this.#nextId += 2;
    this.#streams.set(stream.id, stream);
    const block = encodeHeaders(fields);
    for (let from = 0; from === 0 || from < block.length; from += maxPayloadBytes) {
      const isLast = from + maxPayloadBytes >= block.length;
      const type = from === 0 ? FrameType.headers : FrameType.continuation;
      const part = block.subarray(from, from + maxPayloadBytes);
      this.#socket.write(frame(type, isLast ? Flag.endHeaders : 0, stream.id, part));
    }
    return stream;
  }

  /** Sends bytes of a request, as soon as the peer takes them; without an effect where the stream is over. */
  async send(stream: Stream, bytes: Buffer, isEnd: boolean): Promise<void> {
    let isDone = false;
    for (let from = 0; !isDone; ) {
      if (!this.#streams.has(stream.id) || stream.isSent) return;
      const room = Math.min(stream.sendWindow, this.#sendWindow, maxPayloadBytes);
      const part = bytes.subarray(from, from + Math.max(room, 0));
      if ((part.length === 0 && bytes.length > 0) || this.#socket.writableNeedDrain) {
        await new Promise<void>((resolve) => this.#waiting.push(resolve));
        continue;
      }
      from += part.length;
      stream.sendWindow -= part.length;
      this.#sendWindow -= part.length;
      isDone = from === bytes.length;
      stream.isSent = isEnd && isDone;
      const flags = stream.isSent ? Flag.endStream : 0;
      this.#socket.write(frame(FrameType.data, flags, stream.id, part));
    }
  }

  /** Lets the peer send more on a stream. */
  allow({ id }: Stream, bytes: number): void {
    if (this.#streams.has(id)) this.#socket.write(numberFrame(FrameType.windowUpdate, id, bytes));
  }

  /** Ends a stream, if it is not over: the peer is told to stop, and its listener hears no more. */
  cancel(stream: Stream): void {
    if (!this.#streams.has(stream.id)) return;
    this.#socket.write(numberFrame(FrameType.resetStream, stream.id, cancelCode));
    this.#end(stream);
  }

  /** Ends what has been begun, too. */
  close(): void {
    this.#isLeaving = true;
    if (this.#socket.connecting) this.#socket.destroy();
    else this.#socket.destroySoon();
  }

  #read(chunk: Buffer): void {
    try {
      for (const one of this.#reader.push(chunk)) this.#take(one);
    } catch (error) {
      this.#fail(fault("INTERNAL", `the peer does not speak HTTP/2: ${(error as Error).message}`));
    }
  }

  #take(one: Frame): void {
    const { type, flags, payload } = one;
    if (this.#block !== undefined && type !== FrameType.continuation) {
      throw new Error("headers do not go on");
    }
    const stream = this.#streams.get(one.stream);
    switch (type) {
      case FrameType.data:
        return this.#takeData(one, stream);
      case FrameType.headers:
        this.#block = { stream: one.stream, flags, parts: [contentOf(one)] };
        return this.#takeBlock(flags);
      case FrameType.continuation:
        if (this.#block?.stream !== one.stream) throw new Error("headers go on elsewhere");
        this.#block.parts.push(payload);
        return this.#takeBlock(flags);
      case FrameType.resetStream:
        return this.#takeReset(payload.readUInt32BE(), stream);
      case FrameType.settings:
        return this.#takeSettings(flags, payload);
      case FrameType.ping:
        if ((flags & Flag.ack) === 0) {
          this.#socket.write(frame(FrameType.ping, Flag.ack, 0, payload));
        }
        return undefined;
      case FrameType.goAway:
        return this.#takeGoAway(payload.readUInt32BE() & largestId);
      case FrameType.windowUpdate:
        return this.#takeWindow(one.stream, payload.readUInt32BE() & largestId);
      case FrameType.pushPromise:
        throw new Error("a push that was not allowed");
      default:
        return undefined;
    }
  }

  #takeReset(code: number, stream: Stream | undefined): void {
    if (stream) this.#end(stream).failed(faultOfReset(code));
  }

  #takeData(one: Frame, stream: Stream | undefined): void {
    const taken = one.payload.length;
    this.#received += taken;
    if (this.#received >= windowBytes) {
      this.#socket.write(numberFrame(FrameType.windowUpdate, 0, this.#received));
      this.#received = 0;
    }
    if (stream === undefined) return;
    const bytes = contentOf(one);
    const isEnd = (one.flags & Flag.endStream) !== 0;
    if (isEnd) this.#answered(stream);
    stream.listener.data(bytes, isEnd, taken);
  }

  #takeBlock(flags: number): void {
    const block = this.#block;
    if (block === undefined) return;
    const bytes = block.parts.reduce((sum, part) => sum + part.length, 0);
    if (bytes > mostHeaderBytes) throw new Error("headers are too long");
    if ((flags & Flag.endHeaders) === 0) return;
    this.#block = undefined;
    const fields = decodeHeaders(Buffer.concat(block.parts));
    const stream = this.#streams.get(block.stream);
    if (stream === undefined) return;
    const isEnd = (block.flags & Flag.endStream) !== 0;
    if (isEnd) this.#answered(stream);
    stream.listener.headers(fields, isEnd);
  }

  #takeSettings(flags: number, payload: Buffer): void {
    if ((flags & Flag.ack) !== 0) return;
    for (const [name, value] of settingsOf(payload)) {
      if (name !== Setting.initialWindowSize) continue;
      for (const stream of this.#streams.values()) {
        stream.sendWindow += value - this.#firstSendWindow;
      }
      this.#firstSendWindow = value;
    }
    this.#socket.write(frame(FrameType.settings, Flag.ack, 0));
    this.#wake();
  }

  #takeWindow(id: number, bytes: number): void {
    const stream = this.#streams.get(id);
    if (stream) stream.sendWindow += bytes;
    else if (id === 0) this.#sendWindow += bytes;
    this.#wake();
  }

  /** The peer finishes what it has begun, and takes no more. What it has not begun may be called elsewhere. */
  #takeGoAway(last: number): void {
    this.#isLeaving = true;
    this.#closeWhenOver();
    for (const stream of this.#streams.values()) {
      if (stream.id > last) {
        this.#end(stream).failed(fault("UNAVAILABLE", "the peer is going away"));
      }
    }
  }

  /** A peer that has answered needs no more of the request. */
  #answered(stream: Stream): void {
    if (!stream.isSent) this.#socket.write(numberFrame(FrameType.resetStream, stream.id, 0));
    this.#end(stream);
  }

  #end(stream: Stream): StreamListener {
    this.#streams.delete(stream.id);
    this.#wake();
    this.#closeWhenOver();
    return stream.listener;
  }

  /** A connection that nothing begins on any more is closed with the last that was begun. */
  #closeWhenOver(): void {
    if (this.isOver) this.close();
  }

  #fail(failure: RuntimeFault): void {
    if (this.#failure !== undefined) return;
    this.#failure = failure;
    this.#socket.destroy();
    const streams = [...this.#streams.values()];
    this.#streams.clear();
    this.#wake();
    for (const stream of streams) stream.listener.failed(failure);
  }

  #wake(): void {
    for (const go of this.#waiting.splice(0)) go();
  }
}

/** RFC 9113's error codes as gRPC's, by its PROTOCOL-HTTP2.md. */
function faultOfReset(code: number): RuntimeFault {
  if (code === 7) return fault("UNAVAILABLE", "the peer refused the call");
  if (code === cancelCode) return fault("CANCELLED", "the peer cancelled the call");
  if (code === 11) return fault("RESOURCE_EXHAUSTED", "the peer is called too much");
  if (code === 12) return fault("PERMISSION_DENIED", "the peer wants another protection");
  return fault("INTERNAL", `the peer ended the call with HTTP/2's error ${code}`);
}
