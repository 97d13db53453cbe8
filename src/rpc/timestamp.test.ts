// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { nanosOf, timestampOf } from "./timestamp.ts";

const table = [
  { nanos: 0n, timestamp: null },
  { nanos: 1_700_000_000_123_456_789n, timestamp: { seconds: 1_700_000_000n, nanos: 123_456_789 } },
  { nanos: -1n, timestamp: { seconds: -1n, nanos: 999_999_999 } },
];
for (const { nanos, timestamp } of table) {
  test(`timestampOf and nanosOf agree on ${nanos}`, () => {
    assert.deepEqual(timestampOf(nanos), timestamp);
    assert.equal(nanosOf(timestamp), nanos);
  });
}

test("nanosOf takes Go's zero time for none", () => {
  assert.equal(nanosOf({ seconds: -62_135_596_800n, nanos: 0 }), 0n);
});
