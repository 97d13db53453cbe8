// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { chmod, chown, lstat, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { silentLogger } from "../../../src/base/logger.ts";
import { mountMapped } from "../../../src/base/os/mapped-mount.ts";
import { unmount } from "../../../src/base/os/mount.ts";
import { createLayerArchives } from "../../../src/diff/layer-archives.ts";
import { openMemoryMetadata } from "../../../src/metadata/mirrored-store.ts";
import { pauseBinaryPath } from "../../../src/pause/pause-binary.ts";
import { mappingLabels } from "../../../src/snapshots/mapping-labels.ts";
import { createOverlaySnapshotter } from "../../../src/snapshots/overlayfs/overlay-snapshotter.ts";
import { createOwnerMapping } from "../../../src/snapshots/overlayfs/owner-mapping.ts";
import { must } from "../../support/run.ts";
import { scratch } from "../../support/scratch.ts";
import { testTrees } from "../../support/trees.ts";

const skip = process.getuid?.() === 0 ? false : "needs root";
const call = { signal: new AbortController().signal };
const program = pauseBinaryPath();

/** A snapshot of the image for a user namespace whose ids begin at `first`. */
const forIds = (first: number) => {
  const ids = [{ containerID: 0, hostID: first, size: 65_536 }];
  return { ...call, labels: mappingLabels({ uids: ids, gids: ids }) };
};

test("a layer moves from one user namespace to another", { skip }, async () => {
  await using home = await scratch({ space: false });
  const root = await home.folder("root");
  const snapshotter = await createOverlaySnapshotter({
    root,
    metadata: openMemoryMetadata(silentLogger),
    log: silentLogger,
    trees: testTrees(),
    owners: await createOwnerMapping({
      root,
      program,
      trees: testTrees().remover,
      log: silentLogger,
    }),
  });
  await snapshotter.prepare("k8s.io", "layer", "", call);
  const [image = ""] = snapshotter.directories("k8s.io", "layer");
  await mkdir(path.join(image, "home"));
  await chown(path.join(image, "home"), 1000, 1000);
  for (const name of ["gone", "kept"]) await writeFile(path.join(image, name), name);
  await snapshotter.commit("k8s.io", "image", "layer", call);

  // What a container does, seen from the host.
  const [mount] = await snapshotter.prepare("k8s.io", "first", "image", forIds(300_000));
  assert.ok(mount);
  const target = await home.folder("target");
  const scratchFolder = path.join(home.path, "scratch-mounts");
  await mountMapped(mount, target, { program, scratchFolder });
  try {
    await writeFile(path.join(target, "home/made"), "x");
    await chown(path.join(target, "home/made"), 301_000, 301_000);
    await chmod(path.join(target, "home/made"), 0o600);
    await rm(path.join(target, "gone"));
  } finally {
    unmount(target);
  }

  const archives = createLayerArchives({
    snapshotter,
    namespace: "k8s.io",
    labels: {},
    program,
    scratchFolder,
  });
  const file = path.join(home.path, "layer.tar");
  await archives.pack("first", file, call);
  const listing = await must("tar", ["--numeric-owner", "-tvf", file]);
  assert.match(listing, /-rw------- 1000\/1000 .* home\/made\n/);
  assert.match(listing, / 0\/0 .* \.wh\.gone\n/);
  assert.doesNotMatch(listing, /kept/);

  await snapshotter.prepare("k8s.io", "second", "image", forIds(400_000));
  await archives.unpack("second", file, call);
  const [upper = ""] = snapshotter.directories("k8s.io", "second");
  const owner = async (name: string): Promise<readonly number[]> => {
    const { uid, gid } = await lstat(path.join(upper, name));
    return [uid, gid];
  };
  assert.deepEqual(await owner("home"), [401_000, 401_000]);
  assert.deepEqual(await owner("home/made"), [401_000, 401_000]);
  assert.ok((await lstat(path.join(upper, "gone"))).isCharacterDevice());
  assert.ok(!(await readFile("/proc/self/mountinfo", "utf8")).includes(home.path));
});
