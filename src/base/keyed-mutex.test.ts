// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { KeyedMutex } from "./keyed-mutex.ts";

test("KeyedMutex hands a key over in the order of arrival", async () => {
  const mutex = new KeyedMutex();
  const order: number[] = [];
  await Promise.all(
    [1, 2, 3, 4].map(async (n) => {
      using _lock = await mutex.lock("a");
      order.push(n);
      await Promise.resolve();
      order.push(n);
    }),
  );
  assert.deepEqual(order, [1, 1, 2, 2, 3, 3, 4, 4]);
  assert.equal(mutex.isLocked("a"), false);
});

test("KeyedMutex keeps keys apart", async () => {
  const mutex = new KeyedMutex();
  using _a = await mutex.lock("a");
  using _b = await mutex.lock("b");
  assert.equal(mutex.isLocked("a") && mutex.isLocked("b"), true);
});

test("KeyedMutex lets the next waiter in when one aborts", async () => {
  const mutex = new KeyedMutex();
  const first = await mutex.lock("a");
  const abort = new AbortController();
  const second = mutex.lock("a", { signal: abort.signal });
  const third = mutex.lock("a");
  abort.abort(new Error("gone"));
  await assert.rejects(second, /gone/);
  first[Symbol.dispose]();
  (await third)[Symbol.dispose]();
  assert.equal(mutex.isLocked("a"), false);
});

test("KeyedMutex ignores a second release", async () => {
  const mutex = new KeyedMutex();
  const first = await mutex.lock("a");
  first[Symbol.dispose]();
  const second = await mutex.lock("a");
  first[Symbol.dispose]();
  assert.equal(mutex.tryLock("a"), undefined);
  second[Symbol.dispose]();
  using again = mutex.tryLock("a");
  assert.ok(again);
});

test("KeyedMutex refuses a signal that has fired", async () => {
  const mutex = new KeyedMutex();
  await assert.rejects(mutex.lock("a", { signal: AbortSignal.abort() }), { name: "AbortError" });
  assert.equal(mutex.isLocked("a"), false);
});
