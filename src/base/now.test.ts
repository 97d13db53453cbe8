// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { nowNanos } from "./now.ts";

test("nowNanos is the wall clock, finer than a millisecond", () => {
  const before = BigInt(Date.now() - 1) * 1_000_000n;
  const times = Array.from({ length: 100 }, () => nowNanos());
  const after = BigInt(Date.now() + 1) * 1_000_000n;
  assert.ok(times.every((time) => time >= before && time <= after));
  assert.ok(times.some((time) => time % 1_000_000n !== 0n));
});
