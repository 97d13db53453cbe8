// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { ExtractionTurns } from "./extraction-turns.ts";

const call = { signal: new AbortController().signal };

test("ExtractionTurns lets others in beside those that take long, up to a number of these", async (t) => {
  mock.timers.enable({ apis: ["setTimeout"] });
  t.after(() => mock.timers.reset());
  const turns = new ExtractionTurns({ atOnce: 1, longAfterMs: 1000, longAtOnce: 2 });
  const events: string[] = [];
  const enter = async (name: string): Promise<Disposable> => {
    const held = await turns.acquire(call, () => void events.push(`${name} takes long`));
    events.push(name);
    return held;
  };
  const held = ["a", "b", "c", "d"].map((name) => enter(name));
  await turn();
  assert.deepEqual(events.splice(0), ["a"]);
  for (const expected of [["a takes long", "b"], ["b takes long", "c"], []]) {
    mock.timers.tick(1000);
    await turn();
    assert.deepEqual(events.splice(0), expected);
  }
  (await held[0])?.[Symbol.dispose](); // one that took long is through: the next may
  mock.timers.tick(1000);
  await turn();
  assert.deepEqual(events.splice(0), ["c takes long", "d"]);
});

test("ExtractionTurns gives a turn back once, however long it took", async () => {
  const turns = new ExtractionTurns({ atOnce: 1, longAfterMs: 1, longAtOnce: 1 });
  const long = Promise.withResolvers<void>();
  const first = await turns.acquire(call, long.resolve);
  await long.promise;
  const second = await turns.acquire(call, () => {});
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  const third = turns.acquire(call, () => {});
  assert.equal(await Promise.race([third, turn("waits")]), "waits");
  second[Symbol.dispose]();
  (await third)[Symbol.dispose]();
});
