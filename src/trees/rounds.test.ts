// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Job } from "./jobs.ts";
import { type Ended, Rounds } from "./rounds.ts";

function* pieces(count: number, freed: string[] = []): Job<number> {
  try {
    for (let piece = 0; piece < count; piece += 1) yield;
    return count;
  } finally {
    freed.push("freed");
  }
}

test("a job without end does not hold up the others; cancelled, it frees what it has", () => {
  const ended = new Map<number, Ended>();
  const rounds = new Rounds((id, how) => ended.set(id, how));
  const freed: string[] = [];
  rounds.add(1, pieces(Number.POSITIVE_INFINITY, freed));
  rounds.add(2, pieces(3));
  rounds.add(3, failing());
  assert.equal(rounds.turn(), true);
  assert.deepEqual(ended.get(2), { value: 3 });
  assert.deepEqual(ended.get(3), { error: new Error("broken") });
  rounds.cancel(1);
  assert.deepEqual(freed, ["freed"]);
  assert.equal(rounds.turn(), false);
  assert.equal(ended.has(1), false);
});

function* failing(): Job<never> {
  yield;
  throw new Error("broken");
}
