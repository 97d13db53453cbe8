// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { transform } from "esbuild";
import { withBuiltinsAtHand } from "./builtin-imports.ts";

const get = (name: string): string => `process.getBuiltinModule("${name}")`;

test("Node's own modules are asked for, in every way of importing them; others are imported", () => {
  const text = [
    'import "node:net";',
    'import whole from "node:path";',
    'import * as all from "fs";',
    'import mixed, { a } from "os";',
    'import process from "node:process";',
    "import {",
    "  b as c,",
    "  d",
    '} from "node:util";',
    'import { part } from "./part-X.js";',
    "const text = 'import x from \"node:fs\";';",
  ].join("\n");
  const found = withBuiltinsAtHand(text)
    .text.replaceAll(/\s+/g, " ")
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

test("a costly one is asked for when a name of it is used, and then once", async () => {
  const source = [
    'import http, { STATUS_CODES as codes } from "node:http";',
    'import { randomBytes } from "crypto";',
    "export const told = { http, status: codes[404], id: () => randomBytes(2).length };",
    "export const other = (randomBytes) => randomBytes;",
  ].join("\n");
  const { text, define } = withBuiltinsAtHand(source);
  const { code } = await transform(text, { define, format: "cjs" });
  const asked: string[] = [];
  const exports: Record<string, unknown> = {};
  const own = {
    getBuiltinModule: (name: string): unknown => {
      asked.push(name);
      return process.getBuiltinModule(name);
    },
  };
  const module = { exports };
  // oxlint-disable-next-line typescript/no-implied-eval -- as the bundle would be run
  new Function("module", "exports", "process", code)(module, exports, own);
  const { told, other } = module.exports as {
    told: { http: unknown; status: string; id: () => number };
    other: (value: number) => number;
  };
  assert.deepEqual(asked, ["node:http"]);
  assert.equal(told.http, process.getBuiltinModule("node:http"));
  assert.equal(told.status, "Not Found");
  assert.equal(told.id() + told.id() + other(1), 5);
  assert.deepEqual(asked, ["node:http", "crypto"]);
});

test("libraries in CommonJS ask Node first, and only then look beside the bundle", () => {
  const { text } = withBuiltinsAtHand('var http = require("http");');
  assert.match(text, /^const require = \(name\) => process\.getBuiltinModule\(name\) \?\?/);
});
