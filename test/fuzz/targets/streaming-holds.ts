// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import type { Duplex } from "node:stream";
import { setImmediate } from "node:timers/promises";
import { SpdyConnection } from "../../../src/streaming/spdy/connection.ts";
import { ChannelSocket } from "../../../src/streaming/websocket/channel-socket.ts";
import { WebSocketTunnel } from "../../../src/streaming/websocket/tunnel.ts";
import { MemoryTransport } from "../support/memory-transport.ts";
import { sameBytes } from "../support/same-bytes.ts";
import { isSeldom, madeSeldom } from "../support/seldom.ts";
import { SpdyClientBytes } from "../support/spdy-seeds.ts";
import { clientFrame } from "../support/websocket-seeds.ts";
import type { FuzzTarget } from "../target.ts";

const streamCount = 3;
/** A piece of the network's. */
const chunkBytes = 16 * 1024;
const mostBytes = 1536 * 1024;
const mostFrames = 8000;
/** One input in so many sends enough to come to the limits. */
const largeOneIn = 64;

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
      const instructions: readonly (readonly number[])[] = [
        [0x00, 0xff, 0x00, 0xff, 0x00, 0xff, 0x00, 0xff],
        [...Array.from({ length: 20 }, () => [0x00, 0x0f]).flat(), 3, 0, 2, 0],
        [2, 1, 0x04, 0x8f, 0x08, 0x0f, 2, 0, 1, 1, 0x04, 0xff, 2, 2],
        [0x00, 0x0f, 0x04, 0xff, 2, 1, 3, 1, 0x04, 0xff, 0x00, 0xf4],
      ];
      for (const some of instructions) {
        yield Buffer.from([kind, ...some]);
        // Streams that are not read are paused once more.
        yield madeSeldom(Buffer.from([kind, ...some]), largeOneIn, ["\x03\x00", "\x03\x01"]);
      }
    }
  },
  async run(input) {
    const kind = (input[0] ?? 0) % 3;
    const isLarge = isSeldom(input, largeOneIn);
    const transport = new MemoryTransport();
    const { streams, head, limits } = await connect(kind, transport);
    const got = streams.map((): Buffer[] => []);
    for (const [at, stream] of streams.entries()) {
      stream.on("data", (piece: Buffer) => got[at]?.push(piece));
      stream.pause();
    }
    const wire = new Wire(transport, head, streams.length);
    const check = async (): Promise<void> => {
      await wire.send();
      for (const [at] of streams.entries()) {
        const waiting = wire.waiting(at, lengthOf(got[at]));
        assert.ok(waiting.bytes <= limits.bytes, `${waiting.bytes} bytes wait in stream ${at}`);
        assert.ok(waiting.pieces <= limits.pieces, `${waiting.pieces} pieces wait in stream ${at}`);
      }
    };
    for (let at = 1; at + 1 < input.length; at += 2) {
      const [op = 0, argument = 0] = input.subarray(at, at + 2);
      const which = (op >> 2) % streams.length;
      if (op % 4 <= 1) {
        if (isLarge) {
          const many = argument < 0x40 ? 100 : 4;
          wire.add(which, (1 + (argument & 15)) * many, 2 ** (argument >> 4));
        } else wire.add(which, 1 + (argument & 3), 2 ** ((argument >> 4) & 7));
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
    const total = (): number => got.reduce((sum, pieces) => sum + lengthOf(pieces), 0);
    for (let turn = 0; turn < 20_000 && total() < wire.payloadBytes; turn += 1)
      await setImmediate();
    for (const [at] of streams.entries()) {
      sameBytes(Buffer.concat(got[at] ?? []), wire.sentTo(at), `stream ${at}`);
    }
    transport.destroy();
    await setImmediate();
  },
};

function lengthOf(pieces: readonly Buffer[] = []): number {
  return pieces.reduce((sum, { length }) => sum + length, 0);
}

interface Connected {
  readonly streams: readonly Duplex[];
  /** What stands before the payload of a frame, of so many bytes. */
  readonly head: (stream: number, size: number) => Buffer;
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
    return { streams, head: spdyHead, limits: spdyLimits };
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
    return { streams, head: channelHead, limits: channelLimits };
  }
  const tunnel = new WebSocketTunnel({ transport, head, onActivity });
  return { streams: [tunnel], head: tunnelHead, limits: channelLimits };
}

const spdyHead = remembered(
  (stream, size) => new SpdyClientBytes().data(1 + 2 * stream, Buffer.alloc(size)).bytes,
);
// Masks of zeros leave the payload as it is.
const channelHead = remembered((stream, size) =>
  clientFrame(Buffer.alloc(1 + size, stream), { mask: "\0\0\0\0" }),
);
const tunnelHead = remembered((_stream, size) =>
  clientFrame(Buffer.alloc(size), { mask: "\0\0\0\0" }),
);

function remembered(frame: Connected["head"]): Connected["head"] {
  const heads = new Map<number, Buffer>();
  return (stream, size) => {
    const key = size * streamCount + stream;
    let head = heads.get(key);
    if (head === undefined) {
      const whole = frame(stream, size);
      head = whole.subarray(0, whole.length - size);
      heads.set(key, head);
    }
    return head;
  };
}

/** Frames of one size, one behind the other. */
interface SentRun {
  readonly stream: number;
  readonly count: number;
  readonly size: number;
  readonly frameBytes: number;
  /** Where it begins among all bytes sent. */
  readonly start: number;
  readonly payload: Buffer;
}

/** A client that sends a chunk whenever the last one has been taken, until the server reads no more. */
class Wire {
  readonly #transport: MemoryTransport;
  readonly #head: Connected["head"];
  readonly #runs: SentRun[] = [];
  readonly #streamCount: number;
  #queue: Buffer[] = [];
  #queued = 0;
  #frames = 0;
  #taken = 0;
  #payloadBytes = 0;

  constructor(transport: MemoryTransport, head: Connected["head"], streams: number) {
    this.#transport = transport;
    this.#head = head;
    this.#streamCount = streams;
  }

  add(to: number, wanted: number, size: number): void {
    const stream = to % this.#streamCount;
    const head = this.#head(stream, size);
    const frameBytes = head.length + size;
    const room = Math.floor((mostBytes - this.#queued) / frameBytes);
    const count = Math.min(wanted, mostFrames - this.#frames, room);
    if (count <= 0) return;
    const bytes = Buffer.allocUnsafe(count * frameBytes);
    const payload = Buffer.allocUnsafe(count * size);
    for (let at = 0; at < count; at += 1) {
      const number = (this.#frames + at) % 251;
      bytes.set(head, at * frameBytes);
      bytes.fill(number, at * frameBytes + head.length, (at + 1) * frameBytes);
      payload.fill(number, at * size, (at + 1) * size);
    }
    this.#runs.push({ stream, count, size, frameBytes, start: this.#queued, payload });
    this.#queue.push(bytes);
    this.#queued += bytes.length;
    this.#frames += count;
    this.#payloadBytes += payload.length;
  }

  get isSent(): boolean {
    return this.#queue.length === 0;
  }

  /** Of all frames, sent or waiting to be. */
  get payloadBytes(): number {
    return this.#payloadBytes;
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
      this.#runs.filter((one) => one.stream === stream).map(({ payload }) => payload),
    );
  }

  /** What of a stream has been taken from the transport in whole frames, beyond what its reader has got. */
  waiting(stream: number, received: number): { readonly bytes: number; readonly pieces: number } {
    const taken = this.#taken - this.#transport.readableLength;
    let bytes = -received;
    let pieces = 0;
    for (const { size, count, frameBytes, start, ...run } of this.#runs) {
      if (run.stream !== stream) continue;
      const whole = Math.max(0, Math.min(count, Math.floor((taken - start) / frameBytes)));
      const before = bytes;
      bytes += whole * size;
      // Those that the reader has not got to the end.
      const read = before < 0 ? Math.floor(-before / size) : 0;
      pieces += Math.max(0, whole - read);
    }
    return { bytes, pieces };
  }
}
