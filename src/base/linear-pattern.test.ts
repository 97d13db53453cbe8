// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { linearPattern } from "./linear-pattern.ts";

const same: readonly (readonly [string, readonly string[]])[] = [
  ["^[0-9a-f]{3}$", ["abc", "ab", "abcd", "xyz"]],
  ["^a{2,}b$", ["ab", "aab", "aaaab", "b"]],
  ["^a{1,3}$", ["", "a", "aaa", "aaaa"]],
  ["^\\d{2}-x{0}y$", ["12-y", "1-y", "12-xy"]],
  ["^[\\]}]{2}$", ["]}", "]"]],
  ["k8s\\.io/.*", ["k8s.io/a", "k8sxio/a"]],
  ["^\\{2\\}$", ["{2}", "2"]],
  ["a|b{2}", ["bb", "c", "xax"]],
];
for (const [source, texts] of same) {
  test(`linearPattern matches what RegExp does: ${source}`, () => {
    for (const text of texts) {
      assert.equal(linearPattern(source).test(text), new RegExp(source).test(text), text);
    }
  });
}

// With backtracking, none of these ends before the sun does.
for (const source of ["^(\\w+\\s?)*$", "(a|a)*$", "(a|aa)+$", "a*a*a*a*a*a*a*a*b"]) {
  test(`linearPattern is through with ${source}`, () => {
    assert.equal(linearPattern(`^${source}c$`).test(`${"a".repeat(4000)}!`), false);
  });
}

for (const source of ["(?=a)b", "(a)\\1", "(ab){2}", "a{3,2}", "[", "a{99999}", "(a{50}){50}"]) {
  test(`linearPattern refuses ${source}`, () => {
    assert.throws(() => linearPattern(source), SyntaxError);
  });
}
