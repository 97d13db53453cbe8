// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Known, KnownFolders, pathOf, walk } from "./known-folders.ts";

function deep(folders: KnownFolders, path: string): Known {
  return path.split("/").reduce((at, name) => folders.remember(at, name), folders.root);
}

test("KnownFolders forgets a folder with all below it", () => {
  const folders = new KnownFolders();
  folders.own(deep(folders, "a/b/c"));
  folders.own(deep(folders, "a/d"));
  assert.deepEqual([...walk(folders.root)].map(pathOf), ["", "/a", "/a/d", "/a/b", "/a/b/c"]);
  assert.equal(folders.root.own, 2);
  folders.forget(deep(folders, "a"), "b");
  assert.deepEqual([...walk(folders.root)].map(pathOf), ["", "/a", "/a/d"]);
  assert.deepEqual([folders.root.own, deep(folders, "a").own], [1, 1]);
  folders.forget(folders.root, "nothing");
});

test("KnownFolders remembers so many names at once and no more", () => {
  const folders = new KnownFolders(4);
  for (const name of ["a", "b", "a", "c"]) folders.remember(folders.root, name);
  assert.throws(() => folders.remember(folders.root, "d"), { code: "RESOURCE_EXHAUSTED" });
  folders.forget(folders.root, "a");
  folders.remember(folders.root, "d");
});

test("KnownFolders takes names that objects of their own would not", () => {
  const folders = new KnownFolders();
  for (const name of ["__proto__", "constructor", "toString"]) folders.remember(folders.root, name);
  assert.equal([...walk(folders.root)].length, 4);
});
