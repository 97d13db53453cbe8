// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseGoDuration } from "./go-duration.ts";

// What Go 1.24's time.ParseDuration answers, in milliseconds.
const durations: readonly (readonly [string, number | undefined])[] = [
  ["0", 0],
  ["+0", 0],
  ["-0s", 0],
  ["5s", 5000],
  ["+5s", 5000],
  ["1.5h", 5_400_000],
  ["2m30s", 150_000],
  ["30s2m", 150_000],
  [".5s", 500],
  ["5.s", 5000],
  ["100us", 1],
  ["1\u00b5s", 1],
  ["1\u03bcs", 1],
  ["1ns", 1],
  ["1500us", 2],
  ["", undefined],
  ["5", undefined],
  ["s", undefined],
  [".s", undefined],
  ["5 s", undefined],
  [" 5s", undefined],
  ["5S", undefined],
  ["1d", undefined],
  ["1e3s", undefined],
  ["+-5s", undefined],
  ["-5s", undefined],
  ["soon", undefined],
  ["3000000h", undefined],
];

for (const [text, ms] of durations) {
  test(`a dial_timeout of "${text}" is ${ms === undefined ? "refused" : `${ms} ms`}`, () => {
    assert.equal(parseGoDuration(text), ms);
  });
}
