// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseYaml } from "./parse-yaml.ts";

const rows = [
  { name: "a map", text: "a: 1\nb: [x, 'y', \"z\"]\n", value: { a: 1, b: ["x", "y", "z"] } },
  { name: "JSON", text: '{"a":{"b":null}}', value: { a: { b: null } } },
  { name: "modes", text: "[0660, 0o660, 432, 08]", value: [432, 432, 432, 8] },
  { name: "words that are no booleans", text: "[yes, on, true]", value: ["yes", "on", true] },
  {
    name: "merge keys",
    text: "a: &a {x: 1}\nb: {<<: *a, y: 2}",
    value: { a: { x: 1 }, b: { x: 1, y: 2 } },
  },
  { name: "nothing", text: "# only a comment\n", value: null },
];

for (const { name, text, value } of rows) {
  test(`YAML: ${name}`, () => assert.deepEqual(parseYaml(text), value));
}

const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${"bcdefghi"
  .split("")
  .map((key, index) => `${key}: &${key} [${Array(9).fill(`*${"abcdefgh"[index]}`).join(",")}]`)
  .join("\n")}\n`;

for (const { name, text, message } of [
  {
    name: "a key that stands twice",
    text: "a: 1\na: 2\n",
    message: /^Map keys must be unique at line 2/,
  },
  { name: "two documents", text: "a: 1\n---\nb: 1\n", message: /multiple documents/ },
  { name: "an open bracket", text: "a: [1\n", message: /line 2/ },
  { name: "a bomb of aliases", text: bomb, message: /alias/i },
]) {
  test(`YAML refuses ${name}`, () => {
    assert.throws(
      () => parseYaml(text),
      (error: Error) => message.test(error.message) && !error.message.includes("\n"),
    );
  });
}

test("YAML reads every JSON document as JSON does", () => {
  fc.assert(
    fc.property(fc.json(), (json) => {
      assert.deepEqual(parseYaml(json), JSON.parse(json));
    }),
  );
});

for (const [name, text, message] of [
  ["lists as keys, one in another", "? ".repeat(500), /must be texts or numbers at line 1/],
  ["a list as a key", "{[a]: 1}", /must be texts or numbers at line 1, column 2/],
  ["an alias as a key", "a: &a [x]\n*a : 1\n", /must be texts or numbers at line 2/],
  ["a number and a text that are the same key", '1: x\n"1": y\n', /must be unique at line 2/],
] as const) {
  test(`YAML refuses ${name}`, () => assert.throws(() => parseYaml(text), message));
}
