// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { longestFirst, longFiles } from "./long-files.ts";

test("files that take long come first, the longest of all before them, and the others by name", () => {
  const [longest = "", long = ""] = longFiles;
  const files = ["b.test.ts", long, "a.test.ts", longest];
  assert.deepEqual(files.toSorted(longestFirst), [longest, long, "a.test.ts", "b.test.ts"]);
});

test("each of them is there, and once", () => {
  const root = path.resolve(import.meta.dirname, "../..");
  const gone = longFiles.filter((file) => !existsSync(path.join(root, file)));
  assert.deepEqual(gone, []);
  assert.equal(new Set(longFiles).size, longFiles.length);
});
