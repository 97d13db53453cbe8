// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { addressOf, areShared, blockOf } from "./address-span.ts";

test("addresses are numbers of either family, and nothing else is", () => {
  for (const [text, value] of [
    ["10.99.0.1", 0x0a630001n],
    ["::", 0n],
    ["::1", 1n],
    ["fd00:99::2:1", 0xfd000099000000000000000000020001n],
    ["::ffff:10.99.0.1", 0xffff0a630001n],
    ["fe80::1%eth0", undefined],
    ["10.99.0", undefined],
    ["", undefined],
  ] as const)
    assert.equal(addressOf(text), value, text);
  for (const text of ["10.0.0.0/33", "10.0.0.0", "10.0.0.0/8/'", "x/8", "::/129", "10.0.0.0/"])
    assert.equal(blockOf(text), undefined, text);
});

test("blocks share addresses where the one is in the other", () => {
  for (const [one, other, shared] of [
    ["10.99.0.0/16", "10.99.7.1/24", true],
    ["10.99.7.1/24", "10.99.0.0/16", true],
    ["10.99.0.0/16", "10.100.0.0/16", false],
    ["10.99.0.0/16", "0.0.0.0/0", true],
    ["::/0", "0.0.0.0/0", false],
    ["fd00:99::/64", "fd00:99::1/128", true],
    ["fd00:99::/64", "fd00:9a::/64", false],
  ] as const) {
    const [a, b] = [blockOf(one), blockOf(other)];
    assert.ok(a !== undefined && b !== undefined);
    assert.equal(areShared(a, b), shared, `${one} ${other}`);
  }
});
