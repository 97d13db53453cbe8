// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { freeBytes } from "./free-bytes.ts";

test("freeBytes empties an array that has its memory for itself, also a second time", () => {
  const bytes = Buffer.alloc(64 * 1024);
  freeBytes(bytes);
  freeBytes(bytes);
  assert.equal(bytes.length, 0);
});

test("freeBytes leaves views of a part alone", () => {
  const whole = Buffer.alloc(64 * 1024, "a");
  for (const part of [whole.subarray(1), whole.subarray(0, 10), Buffer.from("pooled")]) {
    freeBytes(part);
    assert.notEqual(part.length, 0);
  }
  assert.equal(whole.length, 64 * 1024);
});
