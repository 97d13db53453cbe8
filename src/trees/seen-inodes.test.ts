// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { SeenInodes } from "./seen-inodes.ts";

test("every inode is new once, however many and on however many file systems", () => {
  const seen = new SeenInodes();
  for (const expected of [true, false]) {
    for (let index = 0; index < 50_000; index += 1) {
      const inodeLow = Math.floor(index / 4);
      const facts = { inodeLow, inodeHigh: index & 1, device: (index & 2) * 2 ** 20 };
      assert.equal(seen.add(facts), expected);
    }
  }
});

test("beyond its bound it says that it does not know, and goes on knowing what it knew", () => {
  const seen = new SeenInodes(3000);
  for (let inodeLow = 0; inodeLow < 4000; inodeLow += 1) {
    const answer = seen.add({ inodeLow, inodeHigh: 0, device: 1 });
    assert.equal(answer, inodeLow < 3000 ? true : undefined);
  }
  assert.equal(seen.add({ inodeLow: 7, inodeHigh: 0, device: 1 }), false);
});
