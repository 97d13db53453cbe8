// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { scratch } from "../../test/support/scratch.ts";
import { makeFifo } from "./os/fifo.ts";
import { readBounded, readBoundedSync, readStart } from "./read-bounded.ts";

test("readBounded reads regular files up to a length, and waits for nothing", async () => {
  await using place = await scratch();
  const at = (name: string): string => path.join(place.path, name);
  await writeFile(at("ten"), "x".repeat(10));
  await writeFile(at("empty"), "");
  await symlink("ten", at("link"));
  makeFifo(at("fifo"), 0o600);
  assert.equal(String(await readBounded(at("ten"), 10)), "x".repeat(10));
  assert.equal(String(await readBounded(at("empty"), 10)), "");
  assert.equal(String(await readBounded(at("link"), 10, { follow: true })), "x".repeat(10));
  assert.match(String(await readBounded("/proc/self/comm", 100)), /\n$/);
  await assert.rejects(readBounded(at("link"), 10), { code: "ELOOP" });
  await assert.rejects(readBounded(at("ten"), 9), /has more than 9 bytes/);
  await assert.rejects(readBounded("/proc/self/comm", 1), /has more than 1 bytes/);
  assert.equal(String(readBoundedSync(at("ten"), 10)), "x".repeat(10));
  assert.throws(() => readBoundedSync(at("ten"), 9), /has more than 9 bytes/);
  assert.throws(() => readBoundedSync(at("link"), 10), { code: "ELOOP" });
  for (const none of [at("fifo"), "/dev/zero", place.path]) {
    await assert.rejects(readBounded(none, 10), /is no regular file/);
    assert.throws(() => readBoundedSync(none, 10), /is no regular file/);
  }
});

test("readStart reads the first bytes of what may be of any length", async () => {
  await using place = await scratch();
  const file = path.join(place.path, "long");
  await writeFile(file, "0123456789".repeat(2000));
  for (const length of [1, 4095, 4096, 4097, 9000, 19_999, 20_000])
    assert.equal(String(await readStart(file, length)), "0123456789".repeat(2000).slice(0, length));
  assert.equal((await readStart(file, 50_000)).length, 20_000);
  assert.equal((await readStart("/dev/zero", 10_000)).length, 10_000);
  assert.match(String(await readStart("/proc/self/comm", 100)), /\n$/);
  await assert.rejects(readStart(`${file}r`, 1), { code: "ENOENT" });
});
