// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { closeSync, constants, mkdtempSync, openSync, readSync, writeSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { makeFifo } from "../base/os/fifo.ts";
import { PipePeek } from "../base/os/pipe-peek.ts";
import { removeFolderSync } from "../base/remove-folder.ts";
import { PeekReader } from "./peek-reader.ts";

interface Written {
  readonly fifo: string;
  readonly fd: number;
}

function setUp(t: TestContext): Written {
  const folder = mkdtempSync(path.join(os.tmpdir(), "berth peek-"));
  t.after(() => removeFolderSync(folder));
  const fifo = path.join(folder, "out");
  makeFifo(fifo);
  return { fifo, fd: openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK) };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("a reader that peeks reads nothing itself, and tells of what stays there turn after turn", async (t) => {
  const { fifo, fd } = setUp(t);
  t.after(() => closeSync(fd));
  using peek = new PipePeek();
  const seen: string[] = [];
  using reader = new PeekReader(fifo, peek, {
    onData: (chunk) => seen.push(String(chunk)),
    onEnd: () => assert.fail("its writer lives"),
  });
  writeSync(fd, "stays");
  reader.start({ drainFirst: false });
  while (seen.length < 3) await turn();
  assert.deepEqual([...new Set(seen)], ["stays"]);
  reader.pause();
  await turn();
  const before = seen.length;
  for (let turns = 0; turns < 5; turns += 1) await turn();
  assert.equal(seen.length, before, "told while it rests");
  reader.resume();
  while (seen.length === before) await turn();
  const left = Buffer.alloc(16);
  assert.equal(left.toString("latin1", 0, readSync(fd, left)), "stays");
});

test("a reader that peeks hands over all that comes, and the end", async (t) => {
  const { fifo, fd } = setUp(t);
  using peek = new PipePeek();
  const ended = Promise.withResolvers<void>();
  const taken = Buffer.alloc(64 * 1024);
  const total = 40 * 64 * 1024;
  let bytes = 0;
  let written = 0;
  const fill = (): void => {
    if (written === total) closeSync(fd);
    if (written < total) written += writeSync(fd, Buffer.alloc(64 * 1024, "y\n"));
    else written += 1;
  };
  using reader = new PeekReader(fifo, peek, {
    onData: (chunk, own) => {
      bytes += readSync(own, taken, 0, chunk.length, null);
      if (written <= total) fill();
    },
    onEnd: ended.resolve,
  });
  fill();
  reader.start({ drainFirst: false });
  await ended.promise;
  assert.equal(bytes, total);
});

test("a reader that peeks leaves a writer that never rests to the poller", (t) => {
  const { fifo, fd } = setUp(t);
  t.after(() => closeSync(fd));
  using peek = new PipePeek();
  const taken = Buffer.alloc(64 * 1024);
  let refills = 0;
  const refill = (): void => {
    refills += 1;
    assert.ok(refills < 64, "read for as long as somebody writes");
    writeSync(fd, Buffer.alloc(64 * 1024, "y\n"));
  };
  refill();
  using reader = new PeekReader(fifo, peek, {
    onData: (chunk, own) => {
      readSync(own, taken, 0, chunk.length, null);
      refill();
    },
    onEnd: () => assert.fail("its writer lives"),
  });
  reader.start({ drainFirst: true });
  assert.ok(refills > 1);
});

test("the end of a FIFO whose writers left before is found at once", (t) => {
  const { fifo, fd } = setUp(t);
  using peek = new PipePeek();
  let ends = 0;
  const seen: string[] = [];
  const taken = Buffer.alloc(16);
  using reader = new PeekReader(fifo, peek, {
    onData: (chunk, own) =>
      seen.push(taken.toString("latin1", 0, readSync(own, taken, 0, chunk.length, null))),
    onEnd: () => (ends += 1),
  });
  writeSync(fd, "last words");
  closeSync(fd);
  reader.start({ drainFirst: true });
  assert.deepEqual([seen, ends], [["last words"], 1]);
});
