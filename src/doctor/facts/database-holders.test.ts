// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdir, stat, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { scratch } from "../../../test/support/scratch.ts";
import { Host } from "../host.ts";
import { holdersOf } from "./database-holders.ts";

test("a lock on a file of another device with the same number is nobody's of the database", async () => {
  await using home = await scratch({ prefix: "locks" });
  const root = home.path;
  const database = path.join(root, "meta.db");
  await writeFile(database, "");
  const { ino } = await stat(database);
  const lock = (pid: number): string => `1: POSIX  ADVISORY  WRITE ${pid} fe:01:${ino} 0 EOF\n`;
  for (const [pid, file] of [
    [11, database],
    [12, "/dev/shm/meta.db"],
    [13, "/proc/self/status"],
  ] as const) {
    await mkdir(path.join(root, `proc/${pid}/fd`), { recursive: true });
    await symlink(file, path.join(root, `proc/${pid}/fd/7`));
  }
  await writeFile(path.join(root, "proc/locks"), [11, 11, 12, 13, 14].map(lock).join(""));
  assert.deepEqual(await holdersOf(new Host(root), "/meta.db"), [11]);
});
