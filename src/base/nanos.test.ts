// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { splitNanos } from "./nanos.ts";

for (const [time, seconds, nanos] of [
  [0n, 0n, 0],
  [1n, 0n, 1],
  [1_000_000_000n, 1n, 0],
  [1_700_000_000_123_456_789n, 1_700_000_000n, 123_456_789],
  [-1n, -1n, 999_999_999],
  [-1_000_000_000n, -1n, 0],
  [-1_000_000_001n, -2n, 999_999_999],
] as const) {
  test(`splitNanos counts upwards from the second: ${time}`, () => {
    assert.deepEqual(splitNanos(time), { seconds, nanos });
  });
}
