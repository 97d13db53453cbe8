// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { mutate } from "./mutate.ts";
import { Random } from "./random.ts";

const tools = {
  maxBytes: 40,
  words: ["word"],
  pairs: [["abc", "xyz"] as const, [12, 500] as const],
};
const first = Buffer.from("abc=12;");

function inputs(seed: number): string[] {
  const random = new Random(seed);
  const other = (): Buffer => Buffer.from("other");
  return Array.from({ length: 5000 }, () =>
    mutate(first, { ...tools, random, other }).toString("latin1"),
  );
}

test("mutations are the same for the same seed, keep to the limit, and leave their input as it is", () => {
  assert.deepEqual(inputs(1), inputs(1));
  assert.notDeepEqual(inputs(1), inputs(2));
  assert.ok(inputs(1).every((input) => input.length <= 40));
  assert.equal(first.toString(), "abc=12;");
});

test("mutations use words, other inputs, and both sides of comparisons", () => {
  const made = new Set(inputs(3));
  for (const wanted of [
    "abcword=12;",
    "xyz=12;",
    "abc=500;",
    "abc=",
    "",
    "abcabc=12;",
    "abc=13;",
  ]) {
    assert.ok(made.has(wanted), `"${wanted}" is among them`);
  }
  assert.ok([...made].some((input) => input.includes("other")));
});
