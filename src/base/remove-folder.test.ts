// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, globSync, mkdirSync, mkdtempSync, readFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { removeFolderSync } from "./remove-folder.ts";

test("a folder goes whole while somebody else removes in it", async (t) => {
  const remover = new Worker(
    `const { parentPort } = require("node:worker_threads");
     const { rmdirSync } = require("node:fs");
     parentPort.on("message", (folder) => {
       for (let i = 0; i < 60; i++) try { rmdirSync(folder + "/s/" + i); } catch {}
       parentPort.postMessage("done");
     });`,
    { eval: true },
  );
  t.after(() => remover.terminate());
  for (let round = 0; round < 20; round += 1) {
    const folder = mkdtempSync(path.join(os.tmpdir(), "berth removed-"));
    for (let i = 0; i < 60; i += 1)
      mkdirSync(path.join(folder, "s", String(i)), { recursive: true });
    const done = once(remover, "message");
    remover.postMessage(folder, []);
    await new Promise((resolve) => setImmediate(resolve));
    removeFolderSync(folder);
    assert.equal(existsSync(folder), false);
    await done;
  }
});

test("no folder is no fault", () => {
  removeFolderSync(path.join(os.tmpdir(), "berth no such folder"));
});

test("nothing else removes folders by rmSync", () => {
  const root = path.resolve(import.meta.dirname, "../..");
  const files = globSync("{src,test,scripts,bench}/**/*.ts", { cwd: root });
  const bad = files.filter(
    (file) =>
      !file.startsWith("src/base/remove-folder") &&
      /rmSync\([^;]*recursive/.test(readFileSync(path.join(root, file), "utf8")),
  );
  assert.deepEqual(bad, []);
});
