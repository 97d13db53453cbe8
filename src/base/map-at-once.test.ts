// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { mapAtOnce } from "./map-at-once.ts";

test("all are done, so many at a time, and answered in their order", async () => {
  let running = 0;
  let most = 0;
  const work = async (item: number): Promise<number> => {
    running += 1;
    most = Math.max(most, running);
    for (let turn = 0; turn < 10 - item; turn += 1) await setImmediate();
    running -= 1;
    return item * 2;
  };
  const items = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
  assert.deepEqual(
    await mapAtOnce(items, 3, work),
    items.map((item) => item * 2),
  );
  assert.equal(most, 3);
  assert.deepEqual(await mapAtOnce([], 3, work), []);
});

test("a failure is the result's, and its place is not taken by the next", async () => {
  const begun: number[] = [];
  const work = async (item: number): Promise<number> => {
    begun.push(item);
    await setImmediate();
    if (item === 1) throw new Error("one");
    return item;
  };
  await assert.rejects(mapAtOnce([1, 2, 3, 4], 1, work), /one/);
  assert.deepEqual(begun, [1]);
});
