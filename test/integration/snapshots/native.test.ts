// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdir, mkdtemp, readFile, readlink, rm, symlink, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { silentLogger } from "../../../src/base/logger.ts";
import { openMemoryMetadata } from "../../../src/metadata/mirrored-store.ts";
import { createNativeSnapshotter } from "../../../src/snapshots/native/native-snapshotter.ts";
import { type MadeSnapshotter, snapshotterSuite } from "../../support/snapshotter-suite.ts";
import { testTrees } from "../../support/trees.ts";

const skip = process.getuid?.() === 0 ? false : "needs root";
const call = { signal: new AbortController().signal };

async function make(t: TestContext): Promise<MadeSnapshotter> {
  const root = await mkdtemp(path.join(os.tmpdir(), "berth native-"));
  t.after(async () => {
    const mounts = await readFile("/proc/self/mountinfo", "utf8");
    assert.ok(!mounts.includes(root.replaceAll(" ", "\\040")), "a mount was left behind");
    await rm(root, { recursive: true, force: true });
  });
  const metadata = openMemoryMetadata(silentLogger);
  const reopen = () =>
    createNativeSnapshotter({ root, metadata, log: silentLogger, trees: testTrees() });
  return { snapshotter: await reopen(), reopen, scratch: path.join(root, "scratch") };
}

snapshotterSuite("native", make, { skip });

test("native copies links as links, and never through them", { skip }, async (t) => {
  const { snapshotter, scratch } = await make(t);
  const ns = "default";
  const folderOf = (key: string): string => snapshotter.directories(ns, key)[0] ?? "";
  await mkdir(scratch, { recursive: true });
  const outside = path.join(scratch, "outside");
  await writeFile(outside, "untouched");
  await snapshotter.prepare(ns, "a", "", call);
  await symlink(outside, path.join(folderOf("a"), "file"));
  await snapshotter.commit(ns, "below", "a", call);
  await snapshotter.prepare(ns, "b", "", call);
  await writeFile(path.join(folderOf("b"), "file"), "above");
  await snapshotter.commit(ns, "above", "b", { parent: "below", ...call });
  assert.equal(await readFile(path.join(folderOf("above"), "file"), "utf8"), "above");
  assert.equal(await readFile(outside, "utf8"), "untouched");
  await snapshotter.prepare(ns, "c", "below", call);
  assert.equal(await readlink(path.join(folderOf("c"), "file")), outside);
});
