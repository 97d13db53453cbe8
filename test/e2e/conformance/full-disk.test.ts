// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { needed, type Room, sweepFullDisk } from "../../integration/images/full-disk-sweep.ts";

// ENOSPC at any byte of a pull or a load, and with any number of inodes; test/integration/images/full-disk.test.ts has a few points.

const skip = process.getuid?.() === 0 ? false : "needs root";
const stepBytes = 12 * 1024;

test("a pull with room for so many bytes fails, or is right", { skip }, async () => {
  const rooms: Room[] = [];
  for (let bytes = 0; bytes < needed.bytes; bytes += stepBytes) rooms.push({ bytes });
  assert.ok((await sweepFullDisk(rooms)) >= 40);
});

test("a pull with room for so many inodes fails, or is right", { skip }, async () => {
  const rooms: Room[] = [];
  for (let inodes = 0; inodes < needed.inodes; inodes += 3) rooms.push({ inodes });
  assert.ok((await sweepFullDisk(rooms)) >= 15);
});

test("a load with room for so many bytes or inodes fails, or is right", { skip }, async () => {
  const rooms: Room[] = [];
  for (let bytes = 0; bytes < needed.bytes; bytes += 2 * stepBytes) rooms.push({ bytes });
  for (let inodes = 0; inodes < needed.inodes; inodes += 6) rooms.push({ inodes });
  assert.ok((await sweepFullDisk(rooms, "load")) >= 25);
});
