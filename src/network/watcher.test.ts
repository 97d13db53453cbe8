// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import test, { type TestContext } from "node:test";
import { removeFolderSync } from "../base/remove-folder.ts";
import { ConfDirWatcher } from "./watcher.ts";

/** Calls of onChange, to be awaited one by one. */
class Changes {
  #count = 0;
  #waiting = Promise.withResolvers<void>();

  readonly onChange = async (): Promise<void> => {
    this.#count += 1;
    this.#waiting.resolve();
  };

  async next(): Promise<void> {
    // The watcher's timers do not keep the process alive.
    const alive = setInterval(() => {}, 1000);
    await this.#waiting.promise;
    clearInterval(alive);
    this.#waiting = Promise.withResolvers();
  }

  get count(): number {
    return this.#count;
  }
}

function setUp(t: TestContext, pollMs: number): { folder: string; changes: Changes } {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), "berth watch "));
  const folder = path.join(root, "etc cni", "net.d");
  const changes = new Changes();
  const watcher = new ConfDirWatcher({ folder, onChange: changes.onChange, pollMs }, "");
  t.after(async () => {
    await watcher[Symbol.asyncDispose]();
    removeFolderSync(root);
  });
  return { folder, changes };
}

/** In one step: a file seen half-written would count as two changes. */
function put(folder: string, name: string, text: string): void {
  const temporary = path.join(folder, `${name}.new`);
  fs.writeFileSync(temporary, text);
  fs.renameSync(temporary, path.join(folder, name));
}

/** Missing at first, parents and all; then changed, replaced, removed, there again. */
async function live(folder: string, changes: Changes): Promise<void> {
  fs.mkdirSync(folder, { recursive: true });
  await changes.next();
  put(folder, "10-a.conflist", "one");
  await changes.next();
  put(folder, "10-a.conflist", "another");
  await changes.next();
  fs.renameSync(folder, `${folder}.old`);
  await changes.next();
  fs.renameSync(`${folder}.old`, folder);
  await changes.next();
  put(folder, "20-b.conflist", "two");
  await changes.next();
}

test("ConfDirWatcher follows a folder that comes, changes, goes and returns", async (t) => {
  const { changes, folder } = setUp(t, 20);
  await live(folder, changes);
  assert.equal(changes.count, 6);
});

test("ConfDirWatcher notices changes of a folder that is there without waiting for the poll", async (t) => {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), "berth watch "));
  const folder = path.join(root, "net.d");
  fs.mkdirSync(folder);
  const changes = new Changes();
  const options = { folder, onChange: changes.onChange, pollMs: 3_600_000 };
  const watcher = new ConfDirWatcher(options, "");
  t.after(async () => {
    await watcher[Symbol.asyncDispose]();
    removeFolderSync(root);
  });
  put(folder, "10-a.conflist", "one");
  await changes.next();
  removeFolderSync(folder);
  await changes.next();
  fs.mkdirSync(folder);
  await changes.next();
  put(folder, "10-a.conflist", "one");
  await changes.next();
  assert.equal(changes.count, 4);
});
