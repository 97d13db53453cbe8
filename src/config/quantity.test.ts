// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatDuration, formatSize, parseDuration, parseSize } from "./quantity.ts";

const durations: readonly [string, number | undefined][] = [
  ["0", 0],
  ["0s", 0],
  ["500ms", 500],
  ["2s", 2000],
  ["1m30s", 90_000],
  ["1.5h", 5_400_000],
  ["0.0h", 0],
  ["0.6ms", 1],
  ["0.4ms", undefined],
  ["0.0000001h", undefined],
  ["9007199254740992ms", undefined],
  ["", undefined],
  ["2", undefined],
  ["2 s", undefined],
  ["-2s", undefined],
  ["s", undefined],
  ["2d", undefined],
];
for (const [text, expected] of durations) {
  test(`parseDuration reads ${JSON.stringify(text)}`, () =>
    assert.equal(parseDuration(text), expected));
}

const sizes: readonly [string, number | undefined][] = [
  ["4096", 4096],
  ["16KiB", 16_384],
  ["4MiB", 4_194_304],
  ["1GiB", 1_073_741_824],
  ["16MB", undefined],
  ["-1", undefined],
  ["", undefined],
  ["99999999999999999999", undefined],
];
for (const [text, expected] of sizes) {
  test(`parseSize reads ${JSON.stringify(text)}`, () => assert.equal(parseSize(text), expected));
}

test("what is formatted parses back", () => {
  fc.assert(
    fc.property(fc.nat(), (value) => {
      assert.equal(parseDuration(formatDuration(value)), value);
      assert.equal(parseSize(String(formatSize(value))), value);
    }),
  );
});
