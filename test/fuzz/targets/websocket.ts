// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import type { Duplex, Writable } from "node:stream";
import * as ws from "ws";
import { ChannelSocket } from "../../../src/streaming/websocket/channel-socket.ts";
import { WebSocketTunnel } from "../../../src/streaming/websocket/tunnel.ts";
import { sentInPieces } from "../support/cuts.ts";
import { MemoryTransport } from "../support/memory-transport.ts";
import { sameBytes } from "../support/same-bytes.ts";
import { type SlowMessage, slowSocket } from "../support/slow-websocket.ts";
import { clientFrame } from "../support/websocket-seeds.ts";
import type { FuzzTarget } from "../target.ts";

type Kind = "v4" | "v5" | "base64" | "tunnel";
const kinds: readonly Kind[] = ["v4", "v5", "base64", "tunnel"];
const channelNumbers = [0, 1, 2, 3, 4];

/**
 * A client's bytes behind one byte that chooses the subprotocol. What the channels get is what a slow reading
 * says, and what the library ws reads of the same bytes; what is sent back, ws can read.
 */
export const target: FuzzTarget = {
  name: "websocket",
  parses: [
    "src/streaming/websocket/frame-parser.ts",
    "src/streaming/websocket/connection.ts",
    "src/streaming/websocket/channel-socket.ts",
    "src/streaming/websocket/base64-pieces.ts",
    "src/streaming/websocket/tunnel.ts",
  ],
  maxBytes: 1024,
  dictionary: [
    "\x82\x81\x00\x00\x00\x00",
    "\x82\x82\x00\x00\x00\x00\xff\x00",
    "\x82\xfe\x00\x7e",
    "\x82\xff\x00\x00\x00\x00\x00\x00\x00\x04",
    "\x02\x80\x00\x00\x00\x00",
    "\x80\x80\x00\x00\x00\x00",
    "\x00\x81\x00\x00\x00\x00",
    "\x89\x80\x00\x00\x00\x00",
    "\x8a\x80\x00\x00\x00\x00",
    "\x88\x82\x00\x00\x00\x00\x03\xe8",
    "\x81\x85\x00\x00\x00\x000aGk=",
    "\x00\x00\x00\x00",
    "=",
  ],
  *seeds() {
    const close = Buffer.from([3, 0xe8]);
    const plain = [
      clientFrame("\x00input"),
      clientFrame("\x04{}", { mask: "\0\0\0\0" }),
      clientFrame("are you there", { opcode: 9 }),
      clientFrame("\x00in ", { fin: false }),
      clientFrame("", { opcode: 10 }),
      clientFrame("pieces", { opcode: 0 }),
      clientFrame(`\x00${"long ".repeat(40)}`),
      clientFrame(Buffer.from([255, 0])),
    ];
    const text = [
      clientFrame("0aGVsbG8=", { opcode: 1 }),
      clientFrame("0aGV", { opcode: 1, fin: false }),
      clientFrame("sb\nG8", { opcode: 0, fin: false }),
      clientFrame("gd29ybGQ=", { opcode: 0 }),
      clientFrame("4e30=", { opcode: 1, mask: "\0\0\0\0" }),
    ];
    for (const cuts of [0, 1, 4]) {
      const tail = Buffer.from([0, cuts]);
      for (const kind of [0, 1, 3]) yield Buffer.concat([Buffer.from([kind]), ...plain, tail]);
      yield Buffer.concat([Buffer.from([2]), ...text, tail]);
      yield Buffer.concat([Buffer.from([1]), ...plain, clientFrame(close, { opcode: 8 }), tail]);
    }
  },
  async run(input) {
    const [circumstances = 0] = input;
    const kind = kinds[circumstances & 3] ?? "v4";
    const { bytes, pieces } = sentInPieces(input.subarray(1));
    const expected = slowSocket(bytes);
    compareWithWs(bytes, expected);

    const transport = new MemoryTransport();
    const head = (circumstances & 4) === 0 ? Buffer.alloc(0) : (pieces.shift() ?? Buffer.alloc(0));
    const { streams, destroy } = serve(kind, transport, head);
    const got = streams.map(record);
    transport.arrive(...pieces);
    await transport.allTaken();
    const isOpen = !transport.destroyed;
    assert.equal(isOpen, !expected.isClosed);
    const wanted = slowChannels(kind, expected.messages);
    for (const [at, taken] of got.entries()) {
      const received = Buffer.concat(taken.pieces);
      const whole = Buffer.from(wanted[at]?.bytes ?? []);
      if (isOpen) {
        sameBytes(received, whole, `channel ${at}`);
        assert.equal(taken.ended, wanted[at]?.ended, `the end of channel ${at}`);
      } else {
        // What was not read before the end is lost.
        sameBytes(received, whole.subarray(0, received.length), `channel ${at}`);
      }
    }
    assert.deepEqual(answersIn(transport.written), expected.answers);
    destroy();
    await transport.allTaken();
    assert.ok(
      streams.every(({ destroyed }) => destroyed),
      "a channel outlives its connection",
    );
  },
};

interface Served {
  readonly streams: readonly Duplex[];
  readonly destroy: () => void;
}

function serve(kind: Kind, transport: MemoryTransport, head: Buffer): Served {
  const common = { transport, head, onActivity: () => {} };
  if (kind === "tunnel") {
    const tunnel = new WebSocketTunnel(common);
    return { streams: [tunnel], destroy: () => tunnel.destroy() };
  }
  const socket = new ChannelSocket({
    ...common,
    base64: kind === "base64",
    halfClose: kind === "v5",
  });
  const streams = channelNumbers.map((number) => socket.channel(number));
  return { streams, destroy: () => socket.destroy() };
}

interface Taken {
  readonly pieces: Buffer[];
  ended: boolean;
}

function record(stream: Duplex): Taken {
  const taken: Taken = { pieces: [], ended: false };
  stream.on("data", (piece: Buffer) => taken.pieces.push(Buffer.from(piece)));
  stream.on("end", () => (taken.ended = true));
  return taken;
}

interface SlowChannel {
  bytes: number[];
  ended: boolean;
}

function slowChannels(kind: Kind, messages: readonly SlowMessage[]): SlowChannel[] {
  if (kind === "tunnel") return [{ bytes: messages.flatMap(({ bytes }) => bytes), ended: false }];
  const channels = channelNumbers.map((): SlowChannel => ({ bytes: [], ended: false }));
  for (const { bytes, whole } of messages) {
    const [first, ...rest] = bytes;
    if (first === undefined) continue;
    if (kind === "v5" && first === 255) {
      const channel = rest.length === 1 && whole ? channels[rest[0] ?? 0] : undefined;
      if (channel) channel.ended = true;
      continue;
    }
    const channel = channels[kind === "base64" ? first - 0x30 : first];
    if (channel === undefined || channel.ended) continue;
    channel.bytes.push(...(kind === "base64" ? slowBase64(rest, whole) : rest));
  }
  return channels;
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** Six bits a character, others skipped. Of a message under way, what is whole: three bytes of four characters. */
function slowBase64(text: readonly number[], whole: boolean): number[] {
  const bits = text.flatMap((code) => {
    // As Node does, the letters of URLs count too.
    const char = String.fromCharCode(code).replace("-", "+").replace("_", "/");
    const value = alphabet.indexOf(char);
    return value < 0 ? [] : [value];
  });
  const usable = whole ? bits : bits.slice(0, bits.length - (bits.length % 4));
  const binary = usable.map((value) => value.toString(2).padStart(6, "0")).join("");
  return Array.from({ length: Math.floor(binary.length / 8) }, (_, at) =>
    Number.parseInt(binary.slice(at * 8, at * 8 + 8), 2),
  );
}

/** ws exports its parser, which its types do not tell. */
const { Receiver } = ws as unknown as {
  readonly Receiver: new (options: {
    readonly isServer: boolean;
    readonly skipUTF8Validation: boolean;
  }) => Writable & { readonly on: (event: string, take: (...what: never[]) => void) => void };
};

function readByWs(bytes: Buffer, isServer: boolean): { messages: Buffer[]; answers: string[] } {
  const receiver = new Receiver({ isServer, skipUTF8Validation: true });
  const messages: Buffer[] = [];
  const answers: string[] = [];
  receiver.on("message", (data: Buffer) => messages.push(data));
  receiver.on("ping", (data: Buffer) => answers.push(`ping ${data.toString("hex")}`));
  receiver.on("pong", (data: Buffer) => answers.push(`pong ${data.toString("hex")}`));
  receiver.on("conclude", (code: number) => answers.push(`close ${code === 1005 ? 1000 : code}`));
  receiver.on("error", () => {});
  receiver.write(Buffer.from(bytes), (error) => {
    if (error) answers.push("close 1002");
  });
  return { messages, answers };
}

/** Both see the same whole messages; ws refuses some headers a byte or two earlier. */
function compareWithWs(bytes: Buffer, expected: ReturnType<typeof slowSocket>): void {
  const { messages } = readByWs(bytes, true);
  const whole = expected.messages.filter((message) => message.whole);
  assert.equal(messages.length, whole.length, "whole messages");
  for (const [at, { bytes: wanted }] of whole.entries()) {
    sameBytes(messages[at] ?? Buffer.alloc(0), Buffer.from(wanted), `message ${at}`);
  }
}

function answersIn(written: Buffer): string[] {
  const { messages, answers } = readByWs(written, false);
  assert.equal(messages.length, 0);
  return answers;
}
