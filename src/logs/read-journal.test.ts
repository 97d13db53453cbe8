// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { makeFifo } from "../base/os/fifo.ts";
import { removeFolderSync } from "../base/remove-folder.ts";
import type { JournalRecord } from "./journal-record.ts";
import { ReadJournal } from "./read-journal.ts";

const record: JournalRecord = {
  kind: "chunk",
  length: 5,
  sentinel: "o".charCodeAt(0) ^ 0xff,
  isDone: false,
  before: { area: 1, length: 7 },
  after: { area: 0, length: 3 },
  maxLineBytes: 16_384,
  time: Buffer.from("2026-11-29T22:20:00.123456789Z"),
  position: { device: 2n ** 63n, inode: 2n ** 40n, size: 2 ** 41 },
};

function setUp(t: TestContext): { readonly file: string; readonly fifo: number } {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "berth journal-"));
  makeFifo(path.join(folder, "out"));
  const fifo = fs.openSync(path.join(folder, "out"), fs.constants.O_RDWR | fs.constants.O_NONBLOCK);
  t.after(() => {
    fs.closeSync(fifo);
    removeFolderSync(folder);
  });
  return { file: path.join(folder, "journal"), fifo };
}

test("a journal tells the next one what was noted, and what was taken", (t) => {
  const { file, fifo } = setUp(t);
  fs.writeSync(fifo, "hello world");
  {
    using first = new ReadJournal(file);
    assert.equal(first.of("stdout").read(), undefined);
    first.of("stdout").note(record);
  }
  {
    using second = new ReadJournal(file);
    assert.deepEqual(second.of("stdout").read(), record);
    assert.equal(second.of("stderr").read(), undefined);
    assert.equal(second.of("stdout").take(fifo, 5), 5);
  }
  using third = new ReadJournal(file);
  assert.deepEqual(third.of("stdout").read(), { ...record, isDone: true });
  const left = Buffer.alloc(16);
  assert.equal(left.toString("latin1", 0, fs.readSync(fifo, left)), " world");
  third.of("stdout").note({ ...record, isDone: true, position: undefined });
  assert.deepEqual(third.of("stdout").read(), { ...record, isDone: true, position: undefined });
});

test("an unfinished line keeps its place, apart from all others, and gives back what was much", (t) => {
  const { file } = setUp(t);
  using journal = new ReadJournal(file);
  const long = Buffer.alloc(16 * 1024 * 1024, "long ");
  const streams = (["stdout", "stderr"] as const).map((name) => journal.of(name));
  for (const [index, stream] of streams.entries()) {
    stream.writeRest(0, 0, Buffer.from(`zero ${index}`));
    stream.writeRest(1, 0, long.subarray(0, 100));
    stream.writeRest(1, 100, long.subarray(100));
  }
  for (const [index, stream] of streams.entries()) {
    assert.equal(String(stream.readRest({ area: 0, length: 6 })), `zero ${index}`);
    assert.ok(stream.readRest({ area: 1, length: long.length }).equals(long));
    stream.dropRest({ area: 1, length: long.length });
    assert.equal(String(stream.readRest({ area: 0, length: 6 })), `zero ${index}`);
  }
  assert.ok(fs.statSync(file).blocks * 512 < 1024 * 1024);
});

test("a journal that somebody empties ends nothing", (t) => {
  const { file, fifo } = setUp(t);
  using journal = new ReadJournal(file);
  fs.writeSync(fifo, "hello");
  fs.truncateSync(file, 0);
  const stream = journal.of("stderr");
  assert.ok(stream.take(fifo, 5) < 5);
  stream.note(record);
  assert.deepEqual(stream.read(), record);
});
