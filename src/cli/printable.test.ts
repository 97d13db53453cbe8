// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { printable, printableLine } from "./printable.ts";

const cases: readonly (readonly [text: string, shown: string, line: string])[] = [
  ["plain über ✓\n\tmore", "plain über ✓\n\tmore", "plain über ✓\\u000a\\u0009more"],
  ["\u001b]0;title\u0007", "\\u001b]0;title\\u0007", "\\u001b]0;title\\u0007"],
  ["\u009b2J\u007f\r", "\\u009b2J\\u007f\\u000d", "\\u009b2J\\u007f\\u000d"],
  ["a\u0000b", "a\\u0000b", "a\\u0000b"],
];

for (const [text, shown, line] of cases) {
  test(`printable spells out what moves a terminal: ${JSON.stringify(text)}`, () => {
    assert.equal(printable(text), shown);
    assert.equal(printableLine(text), line);
    const json = JSON.stringify({ text });
    assert.deepEqual(JSON.parse(printable(json)), { text });
  });
}
