// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { GatherBuffers, gatherBytes } from "./gather-buffers.ts";

test("a buffer goes from one writer to the next, and is freed with the last", () => {
  const buffers = new GatherBuffers();
  const first = buffers.use();
  const one = buffers.take(gatherBytes);
  assert.equal(one.add(Buffer.alloc(gatherBytes + 1, "a")), gatherBytes);
  assert.equal(one.isFull, true);
  buffers.giveBack(one);
  const second = buffers.use();
  first[Symbol.dispose]();
  const again = buffers.take(10 * gatherBytes);
  assert.equal(again, one);
  assert.equal(again.length, 0);
  assert.equal(again.add(Buffer.from("b")), 1);
  assert.equal(String(again.bytes()), "b");
  buffers.giveBack(again);
  second[Symbol.dispose]();
  second[Symbol.dispose]();
  assert.equal(again.size, 0);
  const late = buffers.take(gatherBytes);
  buffers.giveBack(late);
  assert.equal(late.size, 0);
});

test("a few buffers wait at most, and none that are small", () => {
  const buffers = new GatherBuffers();
  using _writer = buffers.use();
  const taken = Array.from({ length: 6 }, () => buffers.take(gatherBytes));
  const small = buffers.take(100);
  for (const one of [small, ...taken]) buffers.giveBack(one);
  assert.equal(small.size, 0);
  assert.deepEqual(
    taken.map(({ size }) => size > 0),
    [true, true, true, true, false, false],
  );
});
