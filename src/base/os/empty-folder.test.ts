// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { scratch } from "../../../test/support/scratch.ts";
import { removeEmptyFolder } from "./empty-folder.ts";

test("an empty folder is removed, and one with something in it stays", async () => {
  await using home = await scratch();
  const folder = await home.folder("some");
  const file = path.join(folder, "file");
  writeFileSync(file, "");
  assert.equal(await removeEmptyFolder(folder), false);
  assert.equal(await removeEmptyFolder(file), false);
  assert.ok(existsSync(file));
  const inner = await home.folder("other");
  assert.equal(await removeEmptyFolder(inner), true);
  assert.ok(!existsSync(inner));
  assert.equal(await removeEmptyFolder(inner), true);
});
