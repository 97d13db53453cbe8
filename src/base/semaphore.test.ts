// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { Semaphore } from "./semaphore.ts";

test("Semaphore lets in as many as it has permits, then in order of arrival", async () => {
  const semaphore = new Semaphore(2);
  const first = await semaphore.acquire();
  const second = await semaphore.acquire();
  const order: string[] = [];
  const third = semaphore.acquire().then((permit) => (order.push("third"), permit));
  const fourth = semaphore.acquire().then((permit) => (order.push("fourth"), permit));
  await setImmediate();
  assert.deepEqual(order, []);
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  await third;
  await setImmediate();
  assert.deepEqual(order, ["third"]);
  second[Symbol.dispose]();
  await fourth;
  assert.deepEqual(order, ["third", "fourth"]);
});

test("Semaphore forgets a waiter that gives up", async () => {
  const semaphore = new Semaphore(1);
  const held = await semaphore.acquire();
  const abort = new AbortController();
  const lost = semaphore.acquire({ signal: abort.signal });
  const kept = semaphore.acquire();
  abort.abort(new Error("gave up"));
  await assert.rejects(lost, /gave up/);
  held[Symbol.dispose]();
  (await kept)[Symbol.dispose]();
  await assert.rejects(semaphore.acquire({ signal: abort.signal }), /gave up/);
});

test("Semaphore refuses to have no permits", () => {
  for (const permits of [0, -1, 1.5, Number.NaN])
    assert.throws(() => new Semaphore(permits), RangeError);
});
