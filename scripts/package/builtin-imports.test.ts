// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { withBuiltinsAtHand } from "./builtin-imports.ts";

const get = (name: string): string => `process.getBuiltinModule("${name}")`;

test("Node's own modules are asked for, in every way of importing them; others are imported", () => {
  const text = [
    'import "node:net";',
    'import whole from "node:path";',
    'import * as all from "fs";',
    'import mixed, { a } from "os";',
    "import {",
    "  b as c,",
    "  d",
    '} from "node:util";',
    'import { part } from "./part-X.js";',
    "const text = 'import x from \"node:fs\";';",
  ].join("\n");
  const found = withBuiltinsAtHand(text)
    .replaceAll(/\s+/g, " ")
    .trim()
    .split(/(?<=;) /);
  assert.deepEqual(found, [
    `var whole = ${get("node:path")};`,
    `var all = ${get("fs")};`,
    `var mixed = ${get("os")};`,
    `var { a } = ${get("os")};`,
    `var { b: c, d } = ${get("node:util")};`,
    'import { part } from "./part-X.js";',
    "const text = 'import x from \"node:fs\";';",
  ]);
});

test("libraries in CommonJS ask Node first, and only then look beside the bundle", () => {
  const text = withBuiltinsAtHand('var http = require("http");');
  assert.match(text, /^const require = \(name\) => process\.getBuiltinModule\(name\) \?\?/);
});
