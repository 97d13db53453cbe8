// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseRetryAfter } from "./retry-after.ts";

const now = Date.parse("2026-11-29T12:00:00Z");

const cases: readonly (readonly [
  retryAfter: string | undefined,
  expected: number | undefined,
  date?: string,
])[] = [
  [undefined, undefined],
  ["", undefined],
  ["  ", undefined],
  ["0", 0],
  ["120", 120_000],
  ["  5 ", 5_000],
  ["0.5", 500],
  ["99999999999999999999", 1e23],
  ["-10", undefined],
  ["120s", undefined],
  ["soon", undefined],
  ["2027", 2_027_000],
  ["Sun, 29 Nov 2026 12:00:30 GMT", 30_000],
  ["Sunday, 29-Nov-26 12:00:30 GMT", 30_000],
  ["Sun Nov 29 12:00:30 2026", 30_000],
  ["Wed, 21 Oct 2015 07:28:00 GMT", 0],
  ["Sun, 99 Nov 2026 12:00:30 GMT", undefined],
  ["2026-11-29T12:00:30Z", undefined],
  // The server's clock is ten minutes ahead of ours.
  ["Sun, 29 Nov 2026 12:10:30 GMT", 30_000, "Sun, 29 Nov 2026 12:10:00 GMT"],
  ["Sun, 29 Nov 2026 12:00:30 GMT", 30_000, "some day"],
];

for (const [retryAfter, expected, date] of cases) {
  test(`parseRetryAfter reads ${JSON.stringify(retryAfter)}${date ? ` at ${date}` : ""}`, () => {
    assert.equal(parseRetryAfter({ "retry-after": retryAfter, date }, now), expected);
  });
}

test("parseRetryAfter never answers a time before now, or no number", () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (retryAfter, date) => {
      const found = parseRetryAfter({ "retry-after": retryAfter, date }, now);
      assert.ok(found === undefined || found >= 0);
    }),
  );
});
