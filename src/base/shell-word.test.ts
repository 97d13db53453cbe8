// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { shellWord } from "./shell-word.ts";

test("a word is quoted where a shell would take it for something else", () => {
  const cases = [
    ["/etc/a-b_c.conf", "/etc/a-b_c.conf"],
    ["a b", "'a b'"],
    ["it's", `'it'\\''s'`],
    ["", "''"],
    ["$HOME", "'$HOME'"],
  ] as const;
  for (const [word, quoted] of cases) assert.equal(shellWord(word), quoted);
});
