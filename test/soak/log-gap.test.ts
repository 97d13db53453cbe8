// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { lacksOneRun, mostLostRuns } from "./log-gap.ts";

const should = ["a", "b", "c", "d", "e"];

const cases = [
  { name: "nothing is missing", is: should, lacks: false },
  { name: "the first line", is: ["b", "c", "d", "e"], lacks: true },
  { name: "a run in the middle", is: ["a", "d", "e"], lacks: true },
  { name: "the last lines", is: ["a", "b", "c"], lacks: true },
  { name: "all lines", is: [], lacks: true },
  { name: "two runs", is: ["a", "c", "e"], lacks: false },
  { name: "a line twice", is: ["a", "a", "b", "c", "d", "e"], lacks: false },
  { name: "another order", is: ["a", "c", "b", "e"], lacks: false },
  { name: "a line that was cut", is: ["a", "b", "c", "d", ""], lacks: false },
];

suite("a log that lacks one run of lines", () => {
  for (const { name, is, lacks } of cases) {
    test(name, () => assert.equal(lacksOneRun(is, should), lacks));
  }

  test("is accepted after a kill only, and seldom", () => {
    assert.deepEqual([0, 1, 20, 100].map(mostLostRuns), [0, 3, 3, 7]);
  });
});
