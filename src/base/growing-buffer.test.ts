// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { GrowingBuffer } from "./growing-buffer.ts";
import { Capture, Lines } from "./process-output.ts";

test("a growing buffer takes pieces of any size up to its limit, as copies", () => {
  const buffer = new GrowingBuffer(100_000);
  const piece = Buffer.from("a");
  for (let at = 0; at < 99_990; at += 1) assert.equal(buffer.add(piece), 1);
  piece.fill("b");
  assert.equal(buffer.isFull, false);
  assert.equal(buffer.add(Buffer.alloc(50, "c")), 10);
  assert.equal(buffer.add(piece), 0);
  assert.equal(buffer.isFull, true);
  assert.equal(buffer.length, 100_000);
  assert.equal(buffer.bytes().toString(), "a".repeat(99_990) + "c".repeat(10));
  // One object, of no more than the limit, and not put together anew for each caller.
  assert.equal(buffer.bytes().buffer.byteLength, 100_000);
  assert.equal(buffer.bytes().buffer, buffer.bytes().buffer);
});

test("a growing buffer without room or bytes is empty, and starts over when cleared", () => {
  assert.equal(new GrowingBuffer(0).add(Buffer.from("x")), 0);
  assert.equal(new GrowingBuffer(10).bytes().length, 0);
  const buffer = new GrowingBuffer(8_000_000);
  buffer.add(Buffer.alloc(2_000_000));
  buffer.clear();
  assert.equal(buffer.bytes().buffer.byteLength, 0);
  buffer.add(Buffer.from("again"));
  assert.equal(buffer.bytes().toString(), "again");
});

test("a program's output is kept as one object, not as its reads", () => {
  const capture = new Capture(10);
  const read = Buffer.from("x");
  for (let count = 0; count < 10; count += 1) capture.add(read);
  read.fill("-");
  assert.equal(capture.overflowed, false);
  assert.equal(capture.bytes().toString(), "xxxxxxxxxx");
  assert.equal(capture.bytes().buffer, capture.bytes().buffer);
  capture.add(read);
  assert.equal(capture.overflowed, true);
});

test("a program's lines come whole, however they were written", () => {
  const got: string[] = [];
  const lines = new Lines(5, (line) => got.push(line));
  for (const byte of "one\n\nthree\n") lines.add(Buffer.from(byte));
  lines.add(Buffer.from("four\nfi"));
  assert.deepEqual(got, ["one", "", "three", "four"]);
  assert.equal(lines.overflowed, false);
  lines.add(Buffer.from("vefi\n"));
  assert.equal(lines.overflowed, true);
  assert.equal(got.length, 4);
});
