// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import test, { type TestContext } from "node:test";
import { removeFolderSync } from "../base/remove-folder.ts";
import { LogFile, type LogFileCalls } from "./log-file.ts";
import { mendTail } from "./mend-tail.ts";
import type { LogPlace } from "./open-log-file.ts";

function tempFolder(t: TestContext): string {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "berth log "));
  t.after(() => removeFolderSync(folder));
  return folder;
}

function placeOf(file: string): LogPlace {
  return { file, folder: path.dirname(file) };
}

function noSpace(): Error {
  return Object.assign(new Error("no space"), { code: "ENOSPC" });
}

/** A disk with room for so many bytes. */
class Disk implements LogFileCalls {
  room = 0;

  write(fd: number, buffer: Buffer, offset: number, length: number): number {
    if (this.room === 0) throw noSpace();
    const written = fs.writeSync(fd, buffer, offset, Math.min(length, this.room));
    this.room -= written;
    return written;
  }
}

class Losses {
  readonly seen: string[] = [];
  began(errno: string): void {
    this.seen.push(`began ${errno}`);
  }
  ended(lostBytes: number): void {
    this.seen.push(`ended ${lostBytes}`);
  }
}

function append(file: LogFile, text: string): void {
  const bytes = Buffer.from(text);
  file.append(bytes, bytes.length, text.split("\n").length - 1);
}

test("LogFile makes its folder and a file of mode 0640, and appends", (t) => {
  const target = path.join(tempFolder(t), "pod dir", "0.log");
  const umask = process.umask(0o022);
  t.after(() => process.umask(umask));
  for (const text of ["one\n", "two\n"]) {
    const file = new LogFile(placeOf(target), new Losses());
    file.open();
    file.mend();
    append(file, text);
    file.close();
  }
  assert.equal(fs.readFileSync(target, "utf8"), "one\ntwo\n");
  assert.equal(fs.statSync(target).mode & 0o777, 0o640);
  assert.equal(fs.statSync(path.dirname(target)).mode & 0o777, 0o755);
});

test("LogFile counts what a full disk cost, reports it once, and never leaves a torn line", (t) => {
  const target = path.join(tempFolder(t), "0.log");
  const losses = new Losses();
  const disk = new Disk();
  const file = new LogFile(placeOf(target), losses, disk);
  file.open();
  file.mend();
  disk.room = 6;
  append(file, "aaa\nbbb\nccc\n"); // "aaa\nbb" fits
  append(file, "ddd\n");
  disk.room = 1;
  append(file, "eee\n"); // the torn line goes on: "b"
  assert.equal(fs.readFileSync(target, "utf8"), "aaa\nbbb");
  disk.room = 100;
  append(file, "fff\n");
  file.close();
  assert.equal(fs.readFileSync(target, "utf8"), "aaa\nbbb\nfff\n");
  assert.deepEqual(losses.seen, ["began ENOSPC", "ended 12"]);
  assert.deepEqual(file.counts(), { lines: 3, bytes: 12, lostBytes: 12 });
});

test("LogFile keeps the old file when a reopen fails, and makes no folder", (t) => {
  const folder = tempFolder(t);
  const target = path.join(folder, "pod", "0.log");
  const file = new LogFile(placeOf(target), new Losses());
  file.open();
  file.mend();
  append(file, "one\n");
  fs.renameSync(path.join(folder, "pod"), path.join(folder, "moved"));
  assert.throws(() => file.reopen(), { code: "ENOENT" });
  append(file, "two\n");
  file.close();
  assert.equal(fs.readFileSync(path.join(folder, "moved", "0.log"), "utf8"), "one\ntwo\n");
  assert.deepEqual(fs.readdirSync(folder), ["moved"]);
});

test("LogFile goes on in a new file after a rotation", (t) => {
  const target = path.join(tempFolder(t), "0.log");
  const file = new LogFile(placeOf(target), new Losses());
  file.open();
  file.mend();
  append(file, "one\n");
  fs.renameSync(target, `${target}.1`);
  append(file, "two\n");
  file.reopen();
  append(file, "three\n");
  file.close();
  assert.equal(fs.readFileSync(`${target}.1`, "utf8"), "one\ntwo\n");
  assert.equal(fs.readFileSync(target, "utf8"), "three\n");
});

test("LogFile without a path discards, and counts", () => {
  const file = new LogFile(undefined, new Losses());
  file.open();
  file.mend();
  append(file, "one\n");
  file.reopen();
  assert.deepEqual(file.counts(), { lines: 1, bytes: 4, lostBytes: 0 });
});

test("LogFile that could not be opened loses lines until a reopen succeeds", (t) => {
  const folder = tempFolder(t);
  const target = path.join(folder, "file", "0.log");
  fs.writeFileSync(path.join(folder, "file"), "");
  const losses = new Losses();
  const file = new LogFile(placeOf(target), losses);
  assert.throws(() => file.open());
  append(file, "one\n");
  fs.rmSync(path.join(folder, "file"));
  fs.mkdirSync(path.join(folder, "file"));
  file.reopen();
  append(file, "two\n");
  file.close();
  assert.equal(fs.readFileSync(target, "utf8"), "two\n");
  assert.deepEqual(losses.seen, ["began EBADF", "ended 4"]);
});

const stamp = "2026-11-23T22:20:00.1Z";
const tails = [
  { name: "whole lines", before: `${stamp} stdout F a\n`, after: `${stamp} stdout F a\n` },
  { name: "nothing", before: "", after: "" },
  {
    name: "a torn content",
    before: `${stamp} stdout F a\n${stamp} stderr P b`,
    after: `${stamp} stdout F a\n${stamp} stderr P b\n`,
  },
  {
    name: "a torn prefix",
    before: `${stamp} stdout F a\n${stamp} std`,
    after: `${stamp} stdout F a\n`,
  },
  { name: "only a torn prefix", before: "2026-1", after: "" },
  {
    name: "a torn line longer than what is looked at",
    before: `${stamp} stdout F ${"x".repeat(100_000)}`,
    after: `${stamp} stdout F ${"x".repeat(100_000)}\n`,
  },
];

for (const { name, before, after } of tails) {
  test(`mendTail: ${name}`, (t) => {
    const file = path.join(tempFolder(t), "0.log");
    fs.writeFileSync(file, before);
    const fd = fs.openSync(file, "a+");
    mendTail(fd);
    fs.closeSync(fd);
    assert.equal(fs.readFileSync(file, "utf8"), after);
  });
}
