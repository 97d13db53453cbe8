// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { removeFolderSync } from "../../base/remove-folder.ts";
import { findPlugins } from "./find-plugins.ts";

const root = mkdtempSync(path.join(tmpdir(), "berth find "));
after(() => removeFolderSync(root));

function folderWith(name: string, files: readonly string[]): string {
  const folder = path.join(root, name);
  mkdirSync(folder, { mode: 0o755 });
  for (const file of files) writeFileSync(path.join(folder, file), "", { mode: 0o644 });
  return folder;
}

test("findPlugins takes modules in lexical order and leaves the rest", () => {
  const dir = folderWith("order", [
    "20-b.js",
    "10-a.mjs",
    "30-c.ts",
    ".hidden.js",
    "types.d.ts",
    "README.md",
  ]);
  assert.deepEqual(
    findPlugins(dir, []).map(({ name, error }) => [name, error]),
    [
      ["10-a", undefined],
      ["20-b", undefined],
      ["30-c", undefined],
    ],
  );
});

test("findPlugins takes a missing folder, and none, for an empty one", () => {
  assert.deepEqual(findPlugins(path.join(root, "nowhere"), []), []);
  assert.deepEqual(findPlugins("", []), []);
});

test("findPlugins reports a table without a file, and a name that two files have", () => {
  const dir = folderWith("twice", ["a.js", "a.mjs"]);
  const found = findPlugins(dir, ["limits"]);
  assert.deepEqual(
    found.map(({ name }) => name),
    ["a", "limits"],
  );
  assert.match(found[0]?.error?.message ?? "", /a\.js and .*a\.mjs are both plugin "a"/);
  assert.match(found[1]?.error?.message ?? "", /no file .*limits\.js/);
});

test("findPlugins does not run what others can write", (t) => {
  const dir = folderWith("open", ["a.js", "b.js"]);
  chmodSync(path.join(dir, "a.js"), 0o664);
  assert.match(findPlugins(dir, [])[0]?.error?.message ?? "", /written by others/);
  chmodSync(dir, 0o777);
  assert.match(findPlugins(dir, [])[1]?.error?.message ?? "", /open can be written by others/);
  if (process.getuid?.() !== 0) return t.skip("needs root to give a file away");
  chmodSync(dir, 0o755);
  chownSync(path.join(dir, "b.js"), 4711, 4711);
  assert.match(findPlugins(dir, [])[1]?.error?.message ?? "", /belongs to user 4711/);
});
