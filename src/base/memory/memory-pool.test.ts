// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { isFault } from "../errors.ts";
import { MemoryPool } from "./memory-pool.ts";

const call = { signal: new AbortController().signal };
const exhausted = (error: unknown): boolean => isFault(error, "RESOURCE_EXHAUSTED");

function pool(options: { patienceMs?: number; waiting?: number } = {}): MemoryPool {
  return new MemoryPool({ name: "things", limitBytes: 100, patienceMs: 20, ...options });
}

test("shares are taken until nothing is left, and given back once", async () => {
  const things = pool();
  const first = things.tryTake(60);
  assert.equal(things.tryTake(50), undefined);
  const second = await things.take(40, "thing", call);
  assert.equal(things.heldBytes, 100);
  first?.[Symbol.dispose]();
  first?.[Symbol.dispose]();
  assert.equal(things.heldBytes, 40);
  second[Symbol.dispose]();
  assert.equal(things.heldBytes, 0);
  assert.equal(things.refused, 0);
});

test("who comes when it is taken waits in the order of arrival, also for less than is left", async () => {
  const things = pool({ patienceMs: 10_000 });
  const first = await things.take(60, "first", call);
  const order: string[] = [];
  const large = things.take(80, "large", call).then((it) => (order.push("large"), it));
  const small = things.take(10, "small", call).then((it) => (order.push("small"), it));
  await setImmediate();
  assert.deepEqual(order, []);
  assert.equal(things.tryTake(1), undefined);
  first[Symbol.dispose]();
  await Promise.all([large, small]);
  assert.deepEqual(order, ["large", "small"]);
  assert.equal(things.heldBytes, 90);
});

test("what is too much, comes too late or has too many before it is refused, with figures", async () => {
  const things = pool({ waiting: 1 });
  await assert.rejects(
    things.take(101, "thing", call),
    /thing is refused: it takes 101 bytes of memory, and the daemon has 100 for all things/,
  );
  const held = await things.take(90, "first", call);
  const late = things.take(20, "second", call);
  await assert.rejects(things.take(1, "third", call), exhausted);
  await assert.rejects(
    late,
    /second is refused: things hold 90 bytes of memory, of 100 at most: try again later/,
  );
  assert.equal(things.refused, 3);
  held[Symbol.dispose]();
  assert.equal((await things.take(100, "fourth", call)).bytes, 100);
});

test("a waiter that gives up lets the next one in, and holds nothing", async () => {
  const things = pool({ patienceMs: 10_000 });
  const held = await things.take(50, "first", call);
  const abort = new AbortController();
  const large = things.take(60, "large", { signal: abort.signal });
  const small = things.take(40, "small", call);
  abort.abort(new Error("gone"));
  await assert.rejects(large, /gone/);
  await small;
  held[Symbol.dispose]();
  assert.equal(things.heldBytes, 40);
  assert.equal(things.refused, 0);
});

test("what is held for a client that does not read is taken back when others wait", async () => {
  const things = pool({ patienceMs: 200 });
  const revoked: string[] = [];
  const stalled = await things.take(60, "stalled", {
    ...call,
    onRevoke: ({ message }) => revoked.push(message),
  });
  const busy = await things.take(40, "busy", call);
  const next = await things.take(50, "next", call);
  assert.equal(revoked.length, 1);
  assert.match(revoked[0] ?? "", /^stalled is refused/);
  stalled[Symbol.dispose]();
  busy[Symbol.dispose]();
  assert.equal(things.heldBytes, next.bytes);
});
