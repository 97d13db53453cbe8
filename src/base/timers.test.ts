// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { sleep, startInterval, startTimer, timeoutSignal } from "./timers.ts";

const dayMs = 86_400_000;
/** What Node's timers keep, and what they would fire at once. */
const longTimes: readonly (readonly [string, number])[] = [
  ["just above 31 bits", 2 ** 31],
  ["30 days", 30 * dayMs],
  ["50 days, beyond 32 bits", 50 * dayMs],
  ["a century", 36_525 * dayMs],
  ["the seconds of an int64", Number(2n ** 63n - 1n) * 1000],
  ["for ever", Number.POSITIVE_INFINITY],
];

/** Node fires what it cannot keep after 1 ms, before this. */
const aMoment = 5;

for (const [what, ms] of longTimes) {
  test(`no wait ends early: ${what}`, async () => {
    const fired: string[] = [];
    using _timer = startTimer(() => fired.push("timer"), ms);
    using _interval = startInterval(() => fired.push("interval"), ms);
    const signal = timeoutSignal(ms);
    const stop = new AbortController();
    const slept = sleep(ms, { signal: stop.signal });
    void slept.then(
      () => fired.push("sleep"),
      () => {},
    );
    await sleep(aMoment);
    assert.deepEqual(fired, []);
    assert.equal(signal.aborted, false);
    stop.abort(new Error("enough"));
    await assert.rejects(slept, /enough/);
  });
}

test("a long timer fires once, when its whole time is over", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    let fired = 0;
    startTimer(() => (fired += 1), 30 * dayMs);
    for (let day = 0; day < 29; day += 1) mock.timers.tick(dayMs);
    assert.equal(fired, 0);
    for (let day = 29; day < 31; day += 1) mock.timers.tick(dayMs);
    assert.equal(fired, 1);
    for (let day = 1; day < 60; day += 1) mock.timers.tick(dayMs);
    assert.equal(fired, 1);
  } finally {
    mock.timers.reset();
  }
});

test("a timer that is begun anew has its whole time again", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    let fired = 0;
    const timer = startTimer(() => (fired += 1), 30 * dayMs);
    for (let day = 0; day < 29; day += 1) mock.timers.tick(dayMs);
    timer.refresh();
    for (let day = 0; day < 29; day += 1) mock.timers.tick(dayMs);
    assert.equal(fired, 0);
    for (let day = 29; day < 31; day += 1) mock.timers.tick(dayMs);
    assert.equal(fired, 1);
  } finally {
    mock.timers.reset();
  }
});

for (const ms of [0, -1, -(2 ** 40), Number.NEGATIVE_INFINITY]) {
  test(`a wait of ${ms} ms is over at once`, async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    startTimer(resolve, ms);
    await Promise.all([promise, sleep(ms)]);
    const signal = timeoutSignal(ms);
    await sleep(aMoment);
    assert.equal((signal.reason as Error).name, "TimeoutError");
  });
}

test("a time that is no number is refused, and not taken for 'at once'", async () => {
  for (const wait of [startTimer, startInterval]) {
    assert.throws(() => wait(() => {}, Number.NaN), RangeError);
  }
  assert.throws(() => timeoutSignal(Number.NaN), RangeError);
  await assert.rejects(sleep(Number.NaN), RangeError);
});

test("a stopped timer does not fire, and a sleep ends with its signal", async () => {
  const fired: string[] = [];
  startTimer(() => fired.push("timer"), 1).stop();
  startInterval(() => fired.push("interval"), 1).stop();
  await assert.rejects(sleep(30 * dayMs, { signal: AbortSignal.abort(new Error("no")) }), /no/);
  await sleep(aMoment);
  assert.deepEqual(fired, []);
});
