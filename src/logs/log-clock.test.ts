// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import test from "node:test";
import { LogClock } from "./log-clock.ts";

function clockAt(start: { wallMs: number; monotonicMs: number }): {
  clock: LogClock;
  set: (wallMs: number, monotonicMs: number) => string;
} {
  let at = start;
  const clock = new LogClock({ wallMs: () => at.wallMs, monotonicMs: () => at.monotonicMs });
  const set = (wallMs: number, monotonicMs: number): string => {
    at = { wallMs, monotonicMs };
    return clock.now().toString();
  };
  return { clock, set };
}

const base = Date.UTC(2026, 10, 23, 22, 59, 59, 999);

test("LogClock takes digits below the millisecond from the monotonic clock", () => {
  const { set } = clockAt({ wallMs: base, monotonicMs: 5000 });
  assert.equal(set(base, 5000), "2026-11-23T22:59:59.999000000Z");
  assert.equal(set(base, 5000.25), "2026-11-23T22:59:59.999250000Z");
  assert.equal(set(base + 1, 5001.5), "2026-11-23T23:00:00.000500000Z");
});

test("LogClock follows a stepped wall clock", () => {
  const { set } = clockAt({ wallMs: base, monotonicMs: 5000 });
  assert.equal(set(base - 3_600_000, 5001), "2026-11-23T21:59:59.999999999Z");
  assert.match(set(base - 3_599_999, 5001.5), /^2026-11-23T22:00:00\.000(499|500)/);
  assert.equal(set(base + 86_400_000, 5002), "2026-11-24T22:59:59.999000000Z");
});

test("LogClock never runs backwards while the wall clock does not", () => {
  const clock = new LogClock();
  let before = "";
  for (let index = 0; index < 20_000; index++) {
    const now = clock.now().toString();
    assert.match(now, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/);
    assert.ok(now >= before, `${before} before ${now}`);
    before = now;
  }
});
