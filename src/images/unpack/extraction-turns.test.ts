// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { type Course, ExtractionTurns } from "./extraction-turns.ts";

const call = { signal: new AbortController().signal };

const course = (events: string[], name: string): Course => ({
  long: () => void events.push(`${name} takes long`),
  pause: (isPaused) => void events.push(`${name} ${isPaused ? "stops" : "goes on"}`),
  refuse: ({ code }) => void events.push(`${name} ${code}`),
});

test("ExtractionTurns lets others in beside those that take long, which take turns", async (t) => {
  mock.timers.enable({ apis: ["setTimeout"] });
  t.after(() => mock.timers.reset());
  const turns = new ExtractionTurns({
    atOnce: 1,
    longAfterMs: 1000,
    longAtOnce: 1,
    longWaiting: 2,
    sliceMs: 3500,
  });
  const events: string[] = [];
  const enter = async (name: string): Promise<Disposable> => {
    const held = await turns.acquire(call, course(events, name));
    events.push(name);
    return held;
  };
  const held = ["a", "b", "c", "d", "e"].map((name) => enter(name));
  await turn();
  assert.deepEqual(events.splice(0), ["a"]);
  const passing: readonly (readonly [ms: number, happens: readonly string[]])[] = [
    [1000, ["a takes long", "b"]],
    [1000, ["b takes long", "b stops", "c"]],
    [1000, ["c takes long", "c stops", "d"]],
    [1000, ["d RESOURCE_EXHAUSTED", "e"]],
    [500, ["b goes on", "a stops"]],
  ];
  for (const [ms, happens] of passing) {
    mock.timers.tick(ms);
    await turn();
    assert.deepEqual(events.splice(0), happens);
  }
  (await held[1])?.[Symbol.dispose]();
  (await held[0])?.[Symbol.dispose]();
  (await held[4])?.[Symbol.dispose]();
  assert.deepEqual(events.splice(0), ["c goes on"]);
  mock.timers.tick(10_000);
  assert.deepEqual(events, []);
});

test("ExtractionTurns gives a turn back once, however long it took", async () => {
  const turns = new ExtractionTurns({
    atOnce: 1,
    longAfterMs: 1,
    longAtOnce: 1,
    longWaiting: 0,
    sliceMs: 1,
  });
  const long = Promise.withResolvers<void>();
  const first = await turns.acquire(call, { ...course([], "a"), long: long.resolve });
  await long.promise;
  const second = await turns.acquire(call, course([], ""));
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  const third = turns.acquire(call, course([], ""));
  assert.equal(await Promise.race([third, turn("waits")]), "waits");
  second[Symbol.dispose]();
  (await third)[Symbol.dispose]();
});
