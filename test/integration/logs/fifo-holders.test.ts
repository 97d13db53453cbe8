// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { silentLogger } from "../../../src/base/logger.ts";
import { WorkerContainerLogs } from "../../../src/logs/container-logs.ts";
import type { ContainerLogs, LogOptions } from "../../../src/logs/ports.ts";
import { pauseBinaryPath } from "../../../src/pause/pause-binary.ts";
import { processes } from "../../support/processes.ts";
import { scratch } from "../../support/scratch.ts";
import { until } from "../../support/until.ts";

const holder = pauseBinaryPath();
const skip = fs.existsSync(holder) ? false : `needs ${holder}`;
const call = { signal: AbortSignal.timeout(300_000) };

async function folderOf(t: TestContext): Promise<string> {
  const home = await scratch({ prefix: "fh" });
  t.after(() => home[Symbol.asyncDispose]());
  return home.path;
}

function daemon(t: TestContext, root: string): ContainerLogs {
  const folder = path.join(root, "fifo");
  const logs = new WorkerContainerLogs({ folder, maxLineBytes: 16_384, log: silentLogger, holder });
  t.after(() => logs[Symbol.asyncDispose]());
  return logs;
}

function wanted(root: string): LogOptions {
  const logPath = path.join(root, "0.log");
  return {
    containerId: "0123456789abcdef",
    logPath,
    logFolder: root,
    terminal: false,
    stdin: false,
  };
}

function holdersBelow(root: string): number[] {
  return processes(({ argv }) => argv[1]?.startsWith(`${root}/`) === true).map(({ pid }) => pid);
}

/** Writes as a container does whose shim ends with it: nobody has the FIFO open afterwards. */
function writeAndEnd(fifo: string, text: string): void {
  const fd = fs.openSync(fifo, fs.constants.O_WRONLY | fs.constants.O_NONBLOCK);
  fs.writeSync(fd, text);
  fs.closeSync(fd);
}

test("output of a container that ended without a daemon is in its log", { skip }, async (t) => {
  const root = await folderOf(t);
  const first = daemon(t, root);
  const { config, held } = await first.open(wanted(root), call);
  await held;
  await first[Symbol.asyncDispose]();
  const [before] = holdersBelow(root);
  writeAndEnd(config.stdout, "last words\n");
  writeAndEnd(config.stderr, "and a complaint\n");

  const next = daemon(t, root);
  const log = await next.resume({ ...wanted(root), config, stopped: true }, call);
  await log.drained(call);
  assert.deepEqual(holdersBelow(root), [before], "one holder, whoever started it");
  await log[Symbol.asyncDispose]();
  await until("the holder is gone", () => holdersBelow(root).length === 0);
  const text = fs.readFileSync(wanted(root).logPath, "utf8");
  assert.match(text, /stdout F last words\n/);
  assert.match(text, /stderr F and a complaint\n/);
});

test("output of a container that went with its shim is salvaged", { skip }, async (t) => {
  const root = await folderOf(t);
  const first = daemon(t, root);
  const { config, held } = await first.open(wanted(root), call);
  await held;
  await first[Symbol.asyncDispose]();
  writeAndEnd(config.stdout, "cut off");

  const next = daemon(t, root);
  await next.salvage(wanted(root), call);
  assert.match(fs.readFileSync(wanted(root).logPath, "utf8"), /stdout P cut off\n$/);
  assert.deepEqual(fs.readdirSync(path.join(root, "fifo")), []);
  await until("the holder is gone", () => holdersBelow(root).length === 0);
});

test("holders that belong to no log go with their FIFOs", { skip }, async (t) => {
  const root = await folderOf(t);
  const first = daemon(t, root);
  const { held } = await first.open(wanted(root), call);
  await held;
  await first[Symbol.asyncDispose]();
  assert.equal(holdersBelow(root).length, 1);
  assert.equal(await daemon(t, root).removeOrphans(), 1);
  await until("the holder is gone", () => holdersBelow(root).length === 0);
});
