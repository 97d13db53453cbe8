// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { MemoryTransport } from "../../../test/fuzz/support/memory-transport.ts";
import { clientFrame } from "../../../test/fuzz/support/websocket-seeds.ts";
import { Base64Pieces } from "./base64-pieces.ts";
import { ChannelSocket } from "./channel-socket.ts";
import { WebSocketTunnel } from "./tunnel.ts";

const limit = 4096;

function openSocket(options: { readonly base64?: boolean; readonly halfClose?: boolean } = {}): {
  readonly transport: MemoryTransport;
  readonly socket: ChannelSocket;
} {
  const transport = new MemoryTransport();
  const { base64 = false, halfClose = false } = options;
  const head = Buffer.alloc(0);
  const onActivity = (): void => {};
  return {
    transport,
    socket: new ChannelSocket({ transport, head, base64, halfClose, onActivity }),
  };
}

/** Sends frames, each in its own chunk, until the server reads no more; answers how many it has taken. */
async function untilHeld(
  transport: MemoryTransport,
  frame: (at: number) => Buffer,
): Promise<number> {
  for (let sent = 0; sent < 3 * limit; ) {
    for (let more = 0; more < 64; more += 1, sent += 1) transport.arrive(frame(sent));
    for (let turn = 0; turn < 3; turn += 1) await setImmediate();
    if (transport.readableLength > 0) return sent;
  }
  return Number.POSITIVE_INFINITY;
}

test("messages of a byte that nobody reads stop the client, over all its channels", async () => {
  const { transport, socket } = openSocket();
  const channels = [0, 2, 4, 6].map((number) => socket.channel(number));
  const taken = await untilHeld(transport, (at) => clientFrame(Buffer.from([(at % 4) * 2, 1])));
  assert.ok(taken < limit + 500, `${taken} messages taken`);
  let read = 0;
  for (const channel of channels) channel.on("data", (piece: Buffer) => (read += piece.length));
  await transport.allTaken();
  assert.equal(read, taken);
});

test("a tunnel's messages of a byte that nobody reads stop the client", async () => {
  const transport = new MemoryTransport();
  const tunnel = new WebSocketTunnel({ transport, head: Buffer.alloc(0), onActivity: () => {} });
  const taken = await untilHeld(transport, () => clientFrame("x"));
  assert.ok(taken < limit + 500, `${taken} messages taken`);
  let read = 0;
  tunnel.on("data", (piece: Buffer) => (read += piece.length));
  await transport.allTaken();
  assert.equal(read, taken);
});

test("a byte that waits does not keep the chunk in which it came", async () => {
  const { transport, socket } = openSocket();
  const channel = socket.channel(0);
  transport.arrive(Buffer.concat([clientFrame("\0a"), clientFrame(`\x07${"x".repeat(60_000)}`)]));
  await setImmediate();
  await setImmediate();
  assert.equal((channel.read() as Buffer | null)?.buffer.byteLength, 1);
});

test("base64 is decoded alike wherever it was cut, and whatever stands between", () => {
  for (const text of ["aGVsbG8gd29ybGQ=", "aGVs\nbG8gd29y\r\nbGQ=", "aGVsb=G8g==d29ybGQ", "a"]) {
    const whole = new Base64Pieces().decode(Buffer.from(text), true).toString();
    if (text.length > 1) assert.equal(whole, "hello world");
    for (let at = 0; at <= text.length; at += 1) {
      const pieces = new Base64Pieces();
      const first = pieces.decode(Buffer.from(text.slice(0, at)), false);
      const second = pieces.decode(Buffer.from(text.slice(at)), true);
      assert.equal(Buffer.concat([first, second]).toString(), whole, `${text} cut at ${at}`);
    }
  }
});

for (const [name, message, isClosed] of [
  ["a number", [255, 0], true],
  ["no number", [255], false],
  ["more than a number", [255, 0, 1], false],
] as const) {
  for (const cut of [false, true]) {
    test(`a channel is closed by a message of 255 and ${name}${cut ? ", cut by the network" : ""}`, async () => {
      const { transport, socket } = openSocket({ halfClose: true });
      const ended: number[] = [];
      for (const number of [0, 1]) {
        socket
          .channel(number)
          .on("end", () => ended.push(number))
          .resume();
      }
      const frame = clientFrame(Buffer.from(message));
      for (const piece of cut ? Array.from(frame, (byte) => Buffer.from([byte])) : [frame]) {
        transport.arrive(piece);
        await transport.allTaken();
      }
      assert.deepEqual(ended, isClosed ? [0] : []);
    });
  }
}

for (const [payload, answer] of [
  ["", 1000],
  ["03e8", 1000],
  ["0bb8", 3000],
  ["03", 1002],
  ["0000", 1002],
  ["03ed", 1002],
  ["03f7", 1002],
  ["1388", 1002],
] as const) {
  test(`a goodbye "${payload}" is answered with ${answer}`, async () => {
    const { transport } = openSocket();
    transport.arrive(clientFrame(Buffer.from(payload, "hex"), { opcode: 8 }));
    await transport.allTaken();
    assert.equal(transport.written.toString("hex"), `8802${answer.toString(16).padStart(4, "0")}`);
  });
}
