// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, constants, mkdtempSync, openSync, writeSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { until } from "../../../test/support/until.ts";
import { removeFolderSync } from "../../base/remove-folder.ts";
import { createOutputCapture } from "./capture-io.ts";
import { fifoIo } from "./fifo-io.ts";
import { enough } from "./fifo-reader.ts";

const call = { signal: AbortSignal.timeout(60_000) };

function folder(t: TestContext): string {
  const made = mkdtempSync(path.join(os.tmpdir(), "berth capture-"));
  t.after(() => removeFolderSync(made));
  return made;
}

/** A program whose output goes into a FIFO, as a shim would have it. */
function program(t: TestContext, fifo: string, script: string): ChildProcess {
  const fd = openSync(fifo, constants.O_WRONLY);
  const child = spawn("sh", ["-c", script], { stdio: ["ignore", fd, "ignore"] });
  closeSync(fd);
  t.after(() => child.kill("SIGKILL"));
  return child;
}

test("a capture keeps one copy of what a program writes byte by byte", async (t) => {
  const output = createOutputCapture(folder(t)).create(1000);
  await using io = await output.io("e");
  const fd = openSync(io.config.stdout, constants.O_WRONLY | constants.O_NONBLOCK);
  closeSync(openSync(io.config.stderr, constants.O_WRONLY | constants.O_NONBLOCK));
  for (let size = 1; size <= 200; size += 1) {
    writeSync(fd, "x");
    if (size <= 70) await until("it is read", () => output.stdout().length === size);
  }
  closeSync(fd);
  await io.drained(call);
  assert.equal(output.stdout().toString(), "x".repeat(200));
  assert.equal(output.stdout().buffer, output.stdout().buffer);
  assert.ok(output.stdout().buffer.byteLength <= 1000);
});

test("a program that writes far more than is captured gets to its end", async (t) => {
  const output = createOutputCapture(folder(t)).create(100_000);
  await using io = await output.io("e");
  closeSync(openSync(io.config.stderr, constants.O_WRONLY | constants.O_NONBLOCK));
  const child = program(t, io.config.stdout, "head -c 64000000 /dev/zero");
  assert.deepEqual(await once(child, "exit"), [0, null]);
  await io.drained(call);
  assert.equal(output.stdout().length, 100_000);
});

test("what nobody wants any more is not handed on, and ten that write it for ever hold up nobody", async (t) => {
  const dir = folder(t);
  let calls = 0;
  await using ios = new AsyncDisposableStack();
  const full: Promise<void>[] = [];
  for (let count = 0; count < 10; count += 1) {
    const isFull = Promise.withResolvers<void>();
    const streams = {
      onStdout: (): typeof enough => {
        calls += 1;
        isFull.resolve();
        return enough;
      },
      onStderr: () => {},
    };
    const io = ios.use(await fifoIo({ dir, ...streams })(`e${count}`));
    program(t, io.config.stdout, "exec cat /dev/zero");
    full.push(isFull.promise);
  }
  await Promise.all(full);
  const output = createOutputCapture(dir).create(100);
  await using io = await output.io("quiet");
  closeSync(openSync(io.config.stderr, constants.O_WRONLY | constants.O_NONBLOCK));
  program(t, io.config.stdout, "echo heard");
  await io.drained(call);
  assert.equal(output.stdout().toString(), "heard\n");
  assert.equal(calls, 10);
});
