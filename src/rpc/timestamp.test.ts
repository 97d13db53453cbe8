// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { exactTimestampOf, isTime, nanosOf, timestampOf } from "./timestamp.ts";

const epoch = { seconds: 0n, nanos: 0 };
for (const { nanos, timestamp } of [
  { nanos: 1_700_000_000_123_456_789n, timestamp: { seconds: 1_700_000_000n, nanos: 123_456_789 } },
  { nanos: 1n, timestamp: { seconds: 0n, nanos: 1 } },
  { nanos: -1n, timestamp: { seconds: -1n, nanos: 999_999_999 } },
  { nanos: -1_500_000_000n, timestamp: { seconds: -2n, nanos: 500_000_000 } },
  { nanos: -2_000_000_000n, timestamp: { seconds: -2n, nanos: 0 } },
]) {
  test(`a time and its Timestamp are each other: ${nanos}`, () => {
    assert.deepEqual(timestampOf(nanos), timestamp);
    assert.deepEqual(exactTimestampOf(nanos), timestamp);
    assert.equal(nanosOf(timestamp), nanos);
    assert.equal(isTime(timestamp), true);
  });
}

for (const [what, timestamp] of [
  ["null", null],
  ["undefined", undefined],
  ["Go's zero time", { seconds: -62_135_596_800n, nanos: 0 }],
] as const) {
  test(`${what} is no time`, () => {
    assert.equal(nanosOf(timestamp), 0n);
    assert.equal(isTime(timestamp), false);
  });
}

test("0n is the first moment of 1970, or what has not come yet", () => {
  assert.deepEqual(exactTimestampOf(0n), epoch);
  assert.equal(timestampOf(0n), null);
  assert.equal(nanosOf(epoch), 0n);
  assert.equal(isTime(epoch), true);
});
