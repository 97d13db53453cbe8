// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { scratch } from "../../../../test/support/scratch.ts";
import { deviceAt } from "../devices.ts";
import { disksMatching } from "./block-devices.ts";

test("globs that match no block device match nothing", async () => {
  await using place = await scratch();
  await writeFile(path.join(place.path, "sda"), "");
  await symlink("/dev/null", path.join(place.path, "sdb"));
  await symlink("/nonexistent", path.join(place.path, "sdc"));
  assert.deepEqual(await disksMatching([path.join(place.path, "sd*"), "/nonexistent/*"]), []);
});

test("globs match whole disks through links, each once", async (t) => {
  const disk = await deviceAt("/dev/vda", "/dev/vda").catch(() => undefined);
  if (disk?.type !== "b") return t.skip("needs /dev/vda");
  await using place = await scratch();
  await symlink("/dev/vda", path.join(place.path, "disk-SSD-1"));
  await symlink("/dev/vda", path.join(place.path, "disk-SSD-2"));
  const globs = [path.join(place.path, "*SSD*")];
  const number = { major: disk.major, minor: disk.minor };
  assert.deepEqual(await disksMatching(globs, async () => false), [number]);
  assert.deepEqual(await disksMatching(globs, async () => true), []);
  assert.deepEqual(await disksMatching(globs), [number]);
});
