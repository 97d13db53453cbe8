// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { once } from "node:events";
import { closeSync, constants, mkdtempSync, openSync, readSync, writeSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import type { Writable } from "node:stream";
import { test } from "node:test";
import { makeFifo } from "../../base/os/fifo.ts";
import { removeFolderSync } from "../../base/remove-folder.ts";
import { attachFifoIo, fifoIo } from "./fifo-io.ts";

const call = { signal: new AbortController().signal };

async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(path.join(os.tmpdir(), "berth fifo-"));
  try {
    await body(folder);
  } finally {
    removeFolderSync(folder);
  }
}

/** Opens as a shim does. */
function write(file: string, text: string): void {
  const fd = openSync(file, constants.O_WRONLY | constants.O_NONBLOCK);
  writeSync(fd, text);
  closeSync(fd);
}

test("fifoIo reads both streams and ends when their writers have left", async () => {
  await inFolder(async (dir) => {
    const got: string[] = [];
    await using io = await fifoIo({
      dir,
      onStdout: (bytes) => void got.push(`out ${bytes.toString()}`),
      onStderr: (bytes) => void got.push(`err ${bytes.toString()}`),
    })("c");
    write(io.config.stdout, "one");
    write(io.config.stderr, "two");
    await io.drained(call);
    assert.deepEqual(got.toSorted(), ["err two", "out one"]);
    assert.equal(io.config.stdin, "");
  });
});

test("fifoIo with a terminal has one output", async () => {
  await inFolder(async (dir) => {
    const silent = { onStdout: () => {}, onStderr: () => {} };
    await using io = await fifoIo({ dir, terminal: true, ...silent })("c");
    assert.equal(io.config.stderr, "");
    assert.equal(io.config.terminal, true);
    write(io.config.stdout, "");
    await io.drained(call);
  });
});

test("fifoIo gives stdin that can be written before anyone reads it, and closes it", async () => {
  await inFolder(async (dir) => {
    const stdin = Promise.withResolvers<Writable>();
    await using io = await fifoIo({
      dir,
      onStdout: () => {},
      onStderr: () => {},
      onStdin: stdin.resolve,
    })("c");
    const given = await stdin.promise;
    const reader = openSync(io.config.stdin, constants.O_RDONLY | constants.O_NONBLOCK);
    await new Promise((resolve) => given.write("input", resolve));
    const buffer = Buffer.alloc(16);
    assert.equal(readSync(reader, buffer, 0, 16, null), 5);
    assert.throws(() => readSync(reader, buffer, 0, 16, null), { code: "EAGAIN" });
    await io.closeStdin();
    assert.equal(readSync(reader, buffer, 0, 16, null), 0);
    closeSync(reader);
    await io.closeStdin();
  });
});

test("fifoIo keeps stdin for a shim that opens it after closeStdin", async () => {
  await inFolder(async (dir) => {
    const stdin = Promise.withResolvers<Writable>();
    await using io = await fifoIo({
      dir,
      onStdout: () => {},
      onStderr: () => {},
      onStdin: stdin.resolve,
    })("c");
    const given = await stdin.promise;
    given.write("input");
    await io.closeStdin();
    const reader = openSync(io.config.stdin, constants.O_RDONLY | constants.O_NONBLOCK);
    const buffer = Buffer.alloc(16);
    assert.equal(readSync(reader, buffer, 0, 16, null), 5);
    if (!given.closed) await once(given, "close");
    assert.equal(readSync(reader, buffer, 0, 16, null), 0);
    closeSync(reader);
  });
});

test("attachFifoIo takes what a FIFO holds, and notices an end that came before", async () => {
  await inFolder(async (dir) => {
    const stdout = path.join(dir, "out");
    const stderr = path.join(dir, "err");
    makeFifo(stdout);
    makeFifo(stderr);
    const holder = openSync(stdout, constants.O_RDWR | constants.O_NONBLOCK);
    writeSync(holder, "kept");
    let got = "";
    await using io = await attachFifoIo({
      onStdout: (bytes) => {
        got += bytes.toString();
      },
      onStderr: () => {},
    })({ stdin: "", stdout, stderr, terminal: false });
    assert.equal(got, "kept");
    closeSync(holder);
    await io.drained(call);
  });
});
