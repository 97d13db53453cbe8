// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";

/** As assert.deepEqual of two buffers, which compares them byte by byte: too slow for a fuzzer. */
export function sameBytes(actual: Buffer, expected: Buffer, what: string): void {
  if (!actual.equals(expected))
    assert.equal(actual.toString("hex"), expected.toString("hex"), what);
}
