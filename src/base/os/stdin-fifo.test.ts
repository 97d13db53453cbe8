// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { once } from "node:events";
import {
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
} from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { removeFolderSync } from "../remove-folder.ts";
import { makeFifo } from "./fifo.ts";
import { StdinFifo } from "./stdin-fifo.ts";

/** A new FIFO, and a look at how often this process has it open. */
function newFifo(): { readonly file: string; opened(): number } & Disposable {
  const folder = mkdtempSync(path.join(os.tmpdir(), "berth stdin-"));
  const file = path.join(folder, "stdin");
  makeFifo(file);
  return {
    file,
    opened: () => readdirSync("/proc/self/fd").filter((fd) => linkOf(fd) === file).length,
    [Symbol.dispose]: () => removeFolderSync(folder),
  };
}

function linkOf(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return "";
  }
}

/** What a reader gets to the end; it fails with EAGAIN while a writer is there. */
function readAll(fd: number): string {
  const buffer = Buffer.alloc(64);
  let got = "";
  for (;;) {
    const length = readSync(fd, buffer, 0, buffer.length, null);
    if (length === 0) return got;
    got += buffer.toString("latin1", 0, length);
  }
}

const openReader = (file: string): number =>
  openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);

for (const input of ["", "all of it"]) {
  test(`a reader that comes after the end of "${input}" gets it, and its end`, async () => {
    using fifo = newFifo();
    using stdin = new StdinFifo(fifo.file);
    await new Promise((resolve) => stdin.socket.write(input, resolve));
    stdin.end();
    assert.equal(fifo.opened(), 1); // the write end
    const closed = once(stdin.socket, "close");
    const reader = openReader(fifo.file);
    await closed;
    assert.equal(readAll(reader), input);
    closeSync(reader);
    assert.equal(fifo.opened(), 0);
  });
}

test("a reader that is there sees the end at once", async () => {
  using fifo = newFifo();
  using stdin = new StdinFifo(fifo.file);
  const reader = openReader(fifo.file);
  await new Promise((resolve) => stdin.socket.write("input", resolve));
  assert.throws(() => [readSync(reader, Buffer.alloc(8)), readSync(reader, Buffer.alloc(8))], {
    code: "EAGAIN",
  });
  stdin.end();
  assert.equal(readAll(reader), "");
  closeSync(reader);
});

test("one that is disposed waits for no reader, and leaves nothing open", async () => {
  using fifo = newFifo();
  for (const ended of [false, true]) {
    const stdin = new StdinFifo(fifo.file);
    const closed = once(stdin.socket, "close");
    if (ended) stdin.end();
    stdin[Symbol.dispose]();
    assert.equal(fifo.opened(), 0);
    await closed;
  }
});

test("one whose name is gone waits for no reader", async () => {
  const fifo = newFifo();
  using stdin = new StdinFifo(fifo.file);
  fifo[Symbol.dispose]();
  stdin.end();
  assert.equal(stdin.socket.destroyed, true);
});
