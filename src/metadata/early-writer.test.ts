// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import type { Worker } from "node:worker_threads";
import { petCodec } from "../../test/support/metadata-suite.ts";
import { silentLogger } from "../base/logger.ts";
import { removeFolderSync } from "../base/remove-folder.ts";
import { endThread } from "../base/threads/thread.ts";
import { EarlyWriter, startWriter } from "./sqlite/early-writer.ts";
import { openMetadata } from "./sqlite/open-metadata.ts";

const folder = mkdtempSync(path.join(os.tmpdir(), "berth writer-"));
after(() => removeFolderSync(folder));

/** Opens it, keeps a record, and closes it again. */
async function use(writer: EarlyWriter): Promise<void> {
  const file = path.join(folder, "meta.db");
  await using store = await openMetadata({ path: file, log: silentLogger, worker: writer.take() });
  await store.table("pets", petCodec).put("a", "z", { name: "first", legs: 1 });
}

test("a thread that was started ahead writes the database, once", async () => {
  using writer = new EarlyWriter();
  await use(writer);
  assert.equal(writer.take(), undefined);
  await use(writer); // with a thread of its own
});

test("one that is not wanted ends, and one that ends by itself is not handed out", async () => {
  const started: Worker[] = [];
  const start = (): Worker => {
    const worker = startWriter();
    started.push(worker);
    return worker;
  };
  {
    using _writer = new EarlyWriter(start);
  }
  using writer = new EarlyWriter(start);
  const [unwanted, broken] = started as [Worker, Worker];
  const ends = [once(unwanted, "exit"), once(broken, "exit")];
  await endThread(broken);
  await Promise.all(ends);
  assert.equal(writer.take(), undefined);
  await use(writer);
});
