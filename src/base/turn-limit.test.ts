// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { timeLimit } from "./deadline.ts";
import { turnLimit } from "./turn-limit.ts";

const ms = 500;

test("time in which the thread was held up is not counted", async () => {
  using limit = turnLimit(ms);
  using other = timeLimit(ms);
  await sleep(10);
  holdUp(3 * ms);
  await sleep(20);
  assert.deepEqual([limit.signal.aborted, other.signal.aborted], [false, true]);
  await once(limit.signal, "abort");
  assert.equal((limit.signal.reason as Error).name, "TimeoutError");
});

test("it ends though the thread is always held up", async () => {
  using limit = turnLimit(20);
  let held = 0;
  for (; held < 100 && !limit.signal.aborted; held += 1) {
    holdUp(250);
    await sleep(1);
  }
  // Of each turn a quarter of the limit is counted: by that alone it would take four.
  assert.ok(held < 4, `${held}`);
});

test("it ends with another signal, and that one's reason", () => {
  const other = new AbortController();
  using limit = turnLimit(ms, other.signal);
  other.abort(new Error("enough"));
  assert.equal((limit.signal.reason as Error).message, "enough");
});

test("one that is disposed ends no more", async () => {
  const limit = turnLimit(20);
  limit[Symbol.dispose]();
  await sleep(100);
  assert.equal(limit.signal.aborted, false);
});

function holdUp(forMs: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, forMs);
}
