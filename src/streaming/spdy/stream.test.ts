// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { SpdyStream, type StreamCarrier } from "./stream.ts";

class FakeCarrier implements StreamCarrier {
  held = false;
  heldBytes = 0;

  sendData(_id: number, _bytes: Buffer, done: () => void): void {
    done();
  }
  sendFin(_id: number, done: () => void): void {
    done();
  }
  sendReset(): void {}
  hold(): void {
    this.held = true;
  }
  release(): void {
    this.held = false;
  }
  account(bytes: number): void {
    this.heldBytes += bytes;
  }
  forget(): void {}
}

const networkChunk = Buffer.alloc(64 * 1024, "x");

test("pieces of a byte cost what they take, also in Node's own list, until they are read", async () => {
  const carrier = new FakeCarrier();
  const stream = new SpdyStream(1, new Map(), carrier);
  stream.once("readable", () => {}); // somebody wants to read, and does not
  await setImmediate();
  let delivered = 0;
  for (; delivered < 20_000 && !carrier.held; delivered += 1) {
    stream.deliver(networkChunk.subarray(0, 1), false);
    if (delivered % 100 === 0) await setImmediate();
  }
  assert.ok(carrier.held, "the client is stopped");
  assert.ok(delivered < 5000, `${delivered} pieces`);
  assert.ok(carrier.heldBytes >= delivered * 200, `${carrier.heldBytes} bytes counted`);
  let read = 0;
  stream.on("data", (piece: Buffer) => (read += piece.length));
  for (let turn = 0; turn < 100; turn += 1) await setImmediate();
  assert.equal(read, delivered);
  assert.deepEqual([carrier.held, carrier.heldBytes], [false, 0]);
});

test("a byte that waits does not keep the chunk in which it came", async () => {
  const stream = new SpdyStream(1, new Map(), new FakeCarrier());
  stream.deliver(networkChunk.subarray(0, 1), false);
  stream.deliver(networkChunk.subarray(0, 10_000), false);
  stream.deliver(networkChunk, true);
  const kept: number[] = [];
  for await (const piece of stream) kept.push((piece as Buffer).buffer.byteLength);
  assert.deepEqual(kept, [1, 10_000, 64 * 1024]);
});
