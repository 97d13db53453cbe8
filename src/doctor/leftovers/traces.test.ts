// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { grouped } from "./traces.ts";

const about = { what: (some: string) => `rules for pods: ${some}`, why: "", mend: "mend" };

test("any number of one kind is one thing to tell, with three of them", () => {
  const names = Array.from({ length: 300 }, (_, at) => `id${at}`);
  const told = grouped(names, about);
  assert.deepEqual(
    told.map(({ what }) => what),
    ["rules for pods: 300 (id0, id1, id2, ...)"],
  );
  assert.match(told[0]?.mend ?? "", /^mend; berth doctor --only leftovers/);
  assert.equal(told[0]?.remove, undefined);
});

test("where all are named and mended there is nothing more to do, and of none nothing is told", () => {
  const [told] = grouped(["a", "b"], about);
  assert.deepEqual([told?.what, told?.mend], ["rules for pods: 2 (a, b)", "mend"]);
  assert.deepEqual(grouped([], about), []);
});
