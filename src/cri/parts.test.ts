// SPDX-License-Identifier: Apache-2.0
// What is parts.ts's rule: whoever reads a file of src/cri sees at its top what it uses.
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";

const folder = import.meta.dirname;
const files = globSync("**/*.ts", { cwd: folder })
  .filter((name) => !name.endsWith(".test.ts"))
  .map((name) => ({ name, text: readFileSync(path.join(folder, name), "utf8") }));

/** Makes the parts, or hands each verb those that it asks for. */
const composition = ["create-runtime-service.ts", "parts.ts"];
const pick = /Pick<\s*CriParts,[^>]*>/g;

test("only the composition takes all parts", () => {
  const whole = files
    .filter(({ text }) => {
      const others = text.replaceAll(pick, "").replaceAll(/^import [^;]*;$/gm, "");
      return /\bCriParts\b(?!\[")/.test(others);
    })
    .map(({ name }) => name);
  assert.deepEqual(whole.toSorted(), composition.toSorted());
});

test("a file says of no part that it needs it, and then does not use it", () => {
  const unused = files.flatMap(({ name, text }) => {
    const keys = [...text.matchAll(pick)].flatMap(([type]) => type.match(/(?<=")\w+(?=")/g) ?? []);
    const code = text.replaceAll(pick, "").replaceAll(/^import [^;]*;$/gm, "");
    return keys
      .filter((key) => !new RegExp(`\\b${key}\\b`).test(code))
      .map((key) => `${name}: ${key}`);
  });
  assert.deepEqual([...new Set(unused)], []);
});

test("no verb takes the configuration when it is made: it reloads", () => {
  const kept = files.filter(({ text }) =>
    /\(\s*\{[^()]*\bconfig\b[^()]*\}: [^()]*\): Verb</.test(text),
  );
  assert.deepEqual(
    kept.map(({ name }) => name),
    [],
  );
});
