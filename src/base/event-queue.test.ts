// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { EventQueue } from "./event-queue.ts";

for (const { drop, left } of [
  { drop: "oldest", left: [3, 4, 5] },
  { drop: "newest", left: [1, 2, 3] },
] as const) {
  test(`EventQueue drops the ${drop} when full and counts it`, async () => {
    let told = 0;
    const queue = new EventQueue<number>({ capacity: 3, drop, onDrop: () => (told += 1) });
    for (const n of [1, 2, 3, 4, 5]) queue.push(n);
    queue.close();
    const seen: number[] = [];
    for await (const item of queue) seen.push(item);
    assert.deepEqual(seen, left);
    assert.equal(queue.dropped, 2);
    assert.equal(told, 2);
  });
}

test("EventQueue wakes a reader that waits", async () => {
  const queue = new EventQueue<string>({ capacity: 10, drop: "oldest" });
  const reader = queue.read();
  const next = reader.next();
  queue.push("a");
  assert.deepEqual(await next, { value: "a", done: false });
  const end = reader.next();
  queue.close();
  assert.deepEqual(await end, { value: undefined, done: true });
});

test("EventQueue ends a read when its signal fires", async () => {
  const queue = new EventQueue<string>({ capacity: 10, drop: "oldest" });
  const abort = new AbortController();
  const next = queue.read({ signal: abort.signal }).next();
  abort.abort(new Error("gone"));
  await assert.rejects(next, /gone/);
});

test("EventQueue keeps order through many items", async () => {
  const queue = new EventQueue<number>({ capacity: 1000, drop: "oldest" });
  const reader = queue.read();
  for (let round = 0; round < 5; round += 1) {
    for (let n = 0; n < 200; n += 1) queue.push(round * 200 + n);
    for (let n = 0; n < 200; n += 1) {
      assert.equal((await reader.next()).value, round * 200 + n);
    }
  }
  assert.equal(queue.dropped, 0);
});

for (const { drop, left } of [
  { drop: "oldest", left: ["cc", "dddd"] },
  { drop: "newest", left: ["aa", "bbb", "cc"] },
] as const) {
  test(`EventQueue drops the ${drop} of what weighs too much together`, async () => {
    const lost: string[] = [];
    const weight = { capacity: 8, of: (item: string) => item.length };
    const onDrop = (item: string): void => void lost.push(item);
    const queue = new EventQueue<string>({ capacity: 100, weight, drop, onDrop });
    for (const item of ["aa", "bbb", "cc", "dddd"]) queue.push(item);
    queue.close();
    const seen: string[] = [];
    for await (const item of queue) seen.push(item);
    assert.deepEqual(seen, left);
    assert.equal(lost.length, queue.dropped);
  });
}

test("EventQueue takes nothing that alone weighs too much, and goes on", async () => {
  const weight = { capacity: 8, of: (item: string) => item.length };
  const queue = new EventQueue<string>({ capacity: 100, weight, drop: "oldest" });
  for (const item of ["a", "x".repeat(9), "b"]) queue.push(item);
  queue.close();
  const seen: string[] = [];
  for await (const item of queue) seen.push(item);
  assert.equal(seen.at(-1), "b");
  assert.ok(!seen.some((item) => item.length > 8));
});
