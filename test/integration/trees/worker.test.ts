// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { silentLogger } from "../../../src/base/logger.ts";
import { TreeWorker, type TreeWorkerOptions } from "../../../src/trees/tree-worker.ts";
import { openFilesOf } from "../../support/processes.ts";
import { until } from "../../support/until.ts";

const call = { signal: new AbortController().signal };
const entry = new URL("../../support/dying-tree-worker.ts", import.meta.url);

function start(options: Partial<TreeWorkerOptions> = {}): TreeWorker {
  return new TreeWorker({
    name: "berth-dying",
    log: silentLogger,
    niceness: 0,
    running: 2,
    entry,
    ...options,
  });
}

function threads(name: string): number {
  const tasks = readdirSync("/proc/self/task");
  return tasks.filter((id) => readFileSync(`/proc/self/task/${id}/comm`, "utf8").trim() === name)
    .length;
}

function openTaskFolders(): number {
  return openFilesOf(process.pid).filter((file) => file.endsWith("/task")).length;
}

test("a thread that dies fails what it ran; what waited is done by the next", async () => {
  await using worker = start();
  const measure = (folder: string): Promise<unknown> => worker.run("measure", { folder }, call);
  const beside = measure("/hang");
  const dying = measure("/die");
  const waiting = measure("/fine");
  await assert.rejects(dying, { code: "UNAVAILABLE", message: "berth-dying ended" });
  await assert.rejects(beside, { code: "UNAVAILABLE" });
  assert.deepEqual(await waiting, { blocks: 0, inodes: 7, isWhole: true });
  assert.equal(openTaskFolders(), 0, "what it had open is closed");
});

test("too many jobs are refused, and one that waits can be cancelled", async () => {
  await using worker = start({ running: 1, waiting: 1 });
  const abort = new AbortController();
  const first = worker.run("measure", { folder: "/hang" }, abort);
  const second = worker.run("measure", { folder: "/hang" }, abort);
  await assert.rejects(worker.run("measure", { folder: "/x" }, call), {
    code: "RESOURCE_EXHAUSTED",
  });
  abort.abort(new Error("no longer"));
  await assert.rejects(first, /no longer/);
  await assert.rejects(second, /no longer/);
  await worker.run("measure", { folder: "/fine" }, call);
});

test("the thread is there while there is work", async () => {
  await using worker = start({ name: "berth-idle", idleMs: 50 });
  assert.equal(threads("berth-idle"), 0);
  const abort = new AbortController();
  const running = worker.run("measure", { folder: "/hang" }, abort);
  await until("the thread runs", () => threads("berth-idle") === 1);
  abort.abort(new Error("done"));
  await assert.rejects(running, /done/);
  await until("the thread has ended", () => threads("berth-idle") === 0);
  await worker.run("measure", { folder: "/fine" }, call);
});
