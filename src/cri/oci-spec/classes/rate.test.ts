// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseRate } from "./rate.ts";

const rows: [string, bigint | undefined][] = [
  ["0", 0n],
  ["500", 500n],
  [" 10k ", 10_000n],
  ["50M", 50_000_000n],
  ["10Mi", 10_485_760n],
  ["1Ki", 1024n],
  ["2G", 2_000_000_000n],
  ["1Ei", 2n ** 60n],
  ["8E", 8n * 10n ** 18n],
  ["8Ei", undefined],
  ["1.5k", 1500n],
  ["0.5Mi", 524_288n],
  ["1.5", undefined],
  ["9223372036854775807", 2n ** 63n - 1n],
  ["9223372036854775808", undefined],
  ["-1", undefined],
  ["10K", undefined],
  ["10mb", undefined],
  ["", undefined],
  ["k", undefined],
  ["1e3", undefined],
];

for (const [text, value] of rows) {
  test(`rate "${text}"`, () => assert.equal(parseRate(text), value));
}

test("any whole number is its own rate", () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }), (n) => parseRate(`${n}`) === n),
  );
});
