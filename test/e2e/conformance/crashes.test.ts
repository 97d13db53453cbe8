// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { sweepCrashes, type Verb } from "../../integration/images/crash-sweep.ts";

// kill -9 at the changes that a pull, a load and a removal with its collection make to the disk;
// test/integration/images/crashes.test.ts has a few points. How many changes there are varies by a few.

const skip = process.getuid?.() === 0 ? false : "needs root";

function* every(step: number): Generator<number> {
  for (let point = 1; ; point += step) yield point;
}

const sweeps: readonly (readonly [Verb, step: number, least: number])[] = [
  ["pull", 5, 20],
  ["load", 13, 7],
  ["remove", 2, 6],
];
for (const [verb, step, least] of sweeps) {
  test(`a ${verb} that is killed anywhere leaves nothing half`, { skip }, async () => {
    assert.ok((await sweepCrashes(verb, every(step))) >= least);
  });
}
