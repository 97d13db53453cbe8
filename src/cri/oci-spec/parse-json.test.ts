// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseJson } from "./parse-json.ts";

for (const text of [
  '{"a":{"a":1},"b":[{"a":1},{"a":2}],"c":"a","d":["a","a"]}',
  '{ "a" : "x\\"a\\":{", "b\\\\" : "}", "b" : "\\\\" }',
  '{"a":"{\\"k\\":1,\\"k\\":1}"}',
  '["a","a"]',
  '"a"',
]) {
  test(`as JSON.parse: ${text}`, () => {
    assert.deepEqual(parseJson(text), JSON.parse(text));
  });
}

for (const [text, message] of [
  ['{"a":1,"a":1}', 'key "a" stands there twice, again at line 1'],
  [
    '{"x":[{"b":{}},\n{"a":{"b":1},\n"\\u0061" : 2}]}',
    'key "a" stands there twice, again at line 3',
  ],
  ['{"":0,"__proto__":1,"__proto__":2}', 'key "__proto__" stands there twice, again at line 1'],
] as const) {
  test(`refused: ${text}`, () => {
    assert.throws(() => parseJson(text), { message });
  });
}
