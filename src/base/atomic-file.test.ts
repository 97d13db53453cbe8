// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { writeFileAtomic } from "./atomic-file.ts";

test("writeFileAtomic replaces a file and leaves nothing beside it", async (t) => {
  const dir = await mkdtemp(path.join(os.tmpdir(), "berth atomic-"));
  t.after(() => rm(dir, { recursive: true }));
  const file = path.join(dir, "state.json");
  await writeFileAtomic(file, "one");
  await writeFileAtomic(file, Buffer.from("two"), { mode: 0o600 });
  assert.equal(await readFile(file, "utf8"), "two");
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  assert.deepEqual(await readdir(dir), ["state.json"]);
});

test("writeFileAtomic cleans up when it cannot rename", async (t) => {
  const dir = await mkdtemp(path.join(os.tmpdir(), "berth atomic-"));
  t.after(() => rm(dir, { recursive: true }));
  await assert.rejects(writeFileAtomic(dir, "onto a folder"));
  await assert.rejects(writeFileAtomic(path.join(dir, "none", "file"), "x"), { code: "ENOENT" });
  assert.deepEqual(await readdir(dir), []);
});
