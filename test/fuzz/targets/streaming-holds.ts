// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import type { Duplex } from "node:stream";
import { setImmediate } from "node:timers/promises";
import { SpdyConnection } from "../../../src/streaming/spdy/connection.ts";
import { ChannelSocket } from "../../../src/streaming/websocket/channel-socket.ts";
import { WebSocketTunnel } from "../../../src/streaming/websocket/tunnel.ts";
import { MemoryTransport } from "../support/memory-transport.ts";
import { sameBytes } from "../support/same-bytes.ts";
import { SpdyClientBytes } from "../support/spdy-seeds.ts";
import { clientFrame } from "../support/websocket-seeds.ts";
import type { FuzzTarget } from "../target.ts";

const streamCount = 3;
/** A piece of the network's. */
const chunkBytes = 16 * 1024;
const mostBytes = 1536 * 1024;
const mostFrames = 8000;

interface Limits {
  /** Of one stream that nobody reads, when the client is stopped: the code's limits and the chunk that goes beyond. */
  readonly bytes: number;
  readonly pieces: number;
}

/** The smallest frame is of 9 and of 7 bytes, so a chunk has 1,800 or 2,300. */
const spdyLimits: Limits = { bytes: (1024 + 64 + 16) * 1024, pieces: 4100 + 1900 };
const channelLimits: Limits = { bytes: (256 + 64 + 16) * 1024, pieces: 4100 + 2400 };

/**
 * Instructions of two bytes (send frames of some size to a stream; let a stream be read, or not) to clients of SPDY,
 * of channels and of a tunnel. Whoever is not read stops the client in time; whoever is read at last gets everything.
 */
export const target: FuzzTarget = {
  name: "streaming-holds",
  parses: [
    "src/streaming/spdy/stream.ts",
    "src/streaming/spdy/connection.ts",
    "src/streaming/websocket/channel.ts",
    "src/streaming/websocket/channel-socket.ts",
    "src/streaming/websocket/tunnel.ts",
    "src/streaming/websocket/holding-stream.ts",
    "src/streaming/own-copy.ts",
  ],
  maxBytes: 64,
  *seeds() {
    for (const kind of [0, 1, 2]) {
      yield Buffer.from([kind, 0x00, 0xff, 0x00, 0xff, 0x00, 0xff, 0x00, 0xff]);
      yield Buffer.from([kind, ...Array.from({ length: 20 }, () => [0x00, 0x0f]).flat(), 2, 0]);
      yield Buffer.from([kind, 2, 1, 0x04, 0x8f, 0x08, 0x0f, 2, 0, 1, 1, 0x04, 0xff, 2, 2]);
    }
  },
  async run(input) {
    const kind = (input[0] ?? 0) % 3;
    const transport = new MemoryTransport();
    const { streams, frame, limits } = await connect(kind, transport);
    const got = streams.map((): Buffer[] => []);
    for (const [at, stream] of streams.entries()) {
      stream.on("data", (piece: Buffer) => got[at]?.push(piece));
      stream.pause();
    }
    const wire = new Wire(transport, frame, streams.length);
    const check = async (): Promise<void> => {
      await wire.send();
      for (const [at] of streams.entries()) {
        const received = got[at]?.reduce((sum, piece) => sum + piece.length, 0) ?? 0;
        const waiting = wire.waiting(at, received);
        assert.ok(waiting.bytes <= limits.bytes, `${waiting.bytes} bytes wait in stream ${at}`);
        assert.ok(waiting.pieces <= limits.pieces, `${waiting.pieces} pieces wait in stream ${at}`);
      }
    };
    for (let at = 1; at + 1 < input.length; at += 2) {
      const [op = 0, argument = 0] = input.subarray(at, at + 2);
      const which = (op >> 2) % streams.length;
      if (op % 4 <= 1) {
        const count = (1 + (argument & 15)) * (argument < 0x40 ? 100 : 4);
        wire.add(which, count, 2 ** (argument >> 4));
      } else {
        const stream = streams[argument % streams.length];
        if (op % 4 === 2) stream?.resume();
        else stream?.pause();
        await check();
      }
    }
    await check();
    for (const stream of streams) stream.resume();
    while (!wire.isSent) {
      await wire.send();
      await transport.allTaken();
    }
    const total = (): number => got.flat().reduce((sum, piece) => sum + piece.length, 0);
    const all = streams.reduce((sum, _stream, at) => sum + wire.sentTo(at).length, 0);
    for (let turn = 0; turn < 20_000 && total() < all; turn += 1) await setImmediate();
    for (const [at] of streams.entries()) {
      sameBytes(Buffer.concat(got[at] ?? []), wire.sentTo(at), `stream ${at}`);
    }
    transport.destroy();
    await setImmediate();
  },
};

interface Connected {
  readonly streams: readonly Duplex[];
  readonly frame: (stream: number, payload: Buffer) => Buffer;
  readonly limits: Limits;
}

async function connect(kind: number, transport: MemoryTransport): Promise<Connected> {
  const head = Buffer.alloc(0);
  const onActivity = (): void => {};
  if (kind === 0) {
    const streams: Duplex[] = [];
    const onStream = (stream: Duplex): void => void streams.push(stream);
    void new SpdyConnection(transport, { head, maxStreams: streamCount, onActivity, onStream });
    const client = new SpdyClientBytes().open(1, {}).open(3, {}).open(5, {});
    transport.arrive(client.bytes);
    await transport.allTaken();
    const frame = (stream: number, payload: Buffer): Buffer =>
      new SpdyClientBytes().data(1 + 2 * stream, payload).bytes;
    return { streams, frame, limits: spdyLimits };
  }
  if (kind === 1) {
    const socket = new ChannelSocket({
      transport,
      head,
      base64: false,
      halfClose: false,
      onActivity,
    });
    const streams = Array.from({ length: streamCount }, (_, number) => socket.channel(number));
    const frame = (stream: number, payload: Buffer): Buffer =>
      clientFrame(Buffer.concat([Buffer.from([stream]), payload]), { mask: "\0\0\0\0" });
    return { streams, frame, limits: channelLimits };
  }
  const tunnel = new WebSocketTunnel({ transport, head, onActivity });
  const frame = (_stream: number, payload: Buffer): Buffer =>
    clientFrame(payload, { mask: "\0\0\0\0" });
  return { streams: [tunnel], frame, limits: channelLimits };
}

interface SentFrame {
  readonly stream: number;
  readonly payload: Buffer;
  /** Where it ends among all bytes sent. */
  readonly end: number;
}

/** A client that sends a chunk whenever the last one has been taken, until the server reads no more. */
class Wire {
  readonly #transport: MemoryTransport;
  readonly #frame: Connected["frame"];
  readonly #sent: SentFrame[] = [];
  readonly #streamCount: number;
  #queue: Buffer[] = [];
  #queued = 0;
  #taken = 0;

  constructor(transport: MemoryTransport, frame: Connected["frame"], streams: number) {
    this.#transport = transport;
    this.#frame = frame;
    this.#streamCount = streams;
  }

  add(stream: number, count: number, size: number): void {
    for (let done = 0; done < count; done += 1) {
      if (this.#sent.length >= mostFrames || this.#queued + size > mostBytes) return;
      const payload = Buffer.alloc(size, this.#sent.length % 251);
      const frame = this.#frame(stream % this.#streamCount, payload);
      this.#queue.push(frame);
      this.#queued += frame.length;
      this.#sent.push({ stream: stream % this.#streamCount, payload, end: this.#queued });
    }
  }

  get isSent(): boolean {
    return this.#queue.length === 0;
  }

  async send(): Promise<void> {
    let rest = Buffer.concat(this.#queue);
    for (;;) {
      // What a held connection takes, it takes within a few turns.
      for (let turn = 0; turn < 4; turn += 1) await setImmediate();
      if (rest.length === 0 || this.#transport.readableLength > 0) break;
      const chunk = rest.subarray(0, chunkBytes);
      this.#transport.arrive(chunk);
      this.#taken += chunk.length;
      rest = rest.subarray(chunk.length);
    }
    this.#queue = rest.length === 0 ? [] : [rest];
  }

  sentTo(stream: number): Buffer {
    return Buffer.concat(
      this.#sent.filter((one) => one.stream === stream).map(({ payload }) => payload),
    );
  }

  /** What of a stream has been taken from the transport, beyond what its reader has got. */
  waiting(stream: number, received: number): { readonly bytes: number; readonly pieces: number } {
    const taken = this.#taken - this.#transport.readableLength;
    let bytes = -received;
    let pieces = 0;
    for (const frame of this.#sent) {
      if (frame.stream !== stream || frame.end > taken) continue;
      bytes += frame.payload.length;
      if (bytes > 0) pieces += 1;
    }
    return { bytes, pieces };
  }
}
