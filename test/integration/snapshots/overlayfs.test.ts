// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { silentLogger } from "../../../src/base/logger.ts";
import { openMemoryMetadata } from "../../../src/metadata/mirrored-store.ts";
import { createOverlaySnapshotter } from "../../../src/snapshots/overlayfs/overlay-snapshotter.ts";
import { type MadeSnapshotter, snapshotterSuite } from "../../support/snapshotter-suite.ts";
import { testTrees } from "../../support/trees.ts";

const skip = process.getuid?.() === 0 ? false : "needs root";

async function make(t: TestContext): Promise<MadeSnapshotter> {
  const root = await mkdtemp(path.join(os.tmpdir(), "berth snapshots-"));
  t.after(async () => {
    const mounts = await readFile("/proc/self/mountinfo", "utf8");
    assert.ok(!mounts.includes(root.replaceAll(" ", "\\040")), "a mount was left behind");
    await rm(root, { recursive: true, force: true });
  });
  const metadata = openMemoryMetadata(silentLogger);
  const reopen = () =>
    createOverlaySnapshotter({ root, metadata, log: silentLogger, trees: testTrees() });
  return { snapshotter: await reopen(), reopen, scratch: path.join(root, "scratch") };
}

snapshotterSuite("overlayfs", make, { skip });

test("overlayfs removes folders without record at start", { skip }, async (t) => {
  const { snapshotter, reopen } = await make(t);
  const call = { signal: new AbortController().signal };
  await snapshotter.prepare("k8s.io", "kept", "", call);
  const folder = path.join(snapshotter.root, "snapshots");
  await mkdir(path.join(folder, "77/fs/deep"), { recursive: true });
  await mkdir(path.join(folder, "rm-5/fs"), { recursive: true });
  const again = await reopen();
  assert.ok(!(await readdir(folder)).includes("77"), "its place is free at once");
  await again.cleanup(call);
  assert.deepEqual(await readdir(folder), ["1"]);
});

test("overlayfs refuses a root that its options cannot hold", async () => {
  const metadata = openMemoryMetadata(silentLogger);
  for (const root of ["/a:b", "/a,b", "/a\\b"]) {
    await assert.rejects(
      createOverlaySnapshotter({ root, metadata, log: silentLogger, trees: testTrees() }),
      {
        code: "INVALID_ARGUMENT",
      },
    );
  }
});
