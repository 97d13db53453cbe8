// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdtemp, readdir, rename, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { type NetworkRecord, ResultCache } from "./result-cache.ts";

function recordOf(sandboxId: string): NetworkRecord {
  return {
    version: 1,
    sandboxId,
    args: "",
    capabilityArgs: {},
    attachments: [],
    abandoned: false,
  };
}

test("a record that was cut short is listed at the start, and goes with its sandbox", async (t) => {
  const folder = await mkdtemp(path.join(os.tmpdir(), "berth results-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const cache = new ResultCache(folder);
  await cache.put(recordOf("whole"));
  await cache.put(recordOf("never"));
  await rename(path.join(folder, "never.json"), path.join(folder, "never.json.new"));
  await writeFile(path.join(folder, "whole.json.new"), "{");
  assert.deepEqual(await cache.list(), ["whole"]);
  assert.deepEqual((await cache.listUnfinished()).toSorted(), ["never", "whole"]);
  assert.deepEqual(await cache.get("whole"), recordOf("whole"));
  for (const id of ["never", "whole"]) await cache.remove(id);
  assert.deepEqual(await readdir(folder), []);
});
