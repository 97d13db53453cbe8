// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { Tokens } from "./tokens.ts";

test("Tokens gives each value once", () => {
  const tokens = new Tokens<string>();
  const token = tokens.issue("a");
  assert.match(token, /^[\w-]{22}$/);
  assert.equal(tokens.peek(token), "a");
  assert.equal(tokens.consume(token), true);
  assert.equal(tokens.consume(token), false);
  assert.equal(tokens.peek(token), undefined);
});

test("Tokens forgets a value after a minute", () => {
  let now = 0;
  const tokens = new Tokens<string>({ now: () => now });
  const first = tokens.issue("a");
  now = 30_000;
  const second = tokens.issue("b");
  now = 60_000;
  assert.equal(tokens.peek(first), undefined);
  assert.equal(tokens.peek(second), "b");
  assert.equal(tokens.size, 1);
});

test("Tokens holds a thousand values, and takes more as they are used or expire", () => {
  let now = 0;
  const tokens = new Tokens<number>({ now: () => now });
  const issued = Array.from({ length: 1000 }, (_, index) => tokens.issue(index));
  assert.throws(() => tokens.issue(1000), { code: "RESOURCE_EXHAUSTED" });
  tokens.consume(issued[500] ?? "");
  tokens.issue(1000);
  assert.throws(() => tokens.issue(1001), { code: "RESOURCE_EXHAUSTED" });
  now = 60_000;
  tokens.issue(1001);
  assert.equal(tokens.size, 1);
});
