// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { chmod, chown, lstat, mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { silentLogger } from "../../../src/base/logger.ts";
import { isMapped, mountMapped } from "../../../src/base/os/mapped-mount.ts";
import { mountSpec, unmount } from "../../../src/base/os/mount.ts";
import { readXattr, writeXattr } from "../../../src/base/os/xattr.ts";
import { openMemoryMetadata } from "../../../src/metadata/mirrored-store.ts";
import { pauseBinaryPath } from "../../../src/pause/pause-binary.ts";
import type { FolderSnapshotter } from "../../../src/snapshots/folder-snapshotter.ts";
import { mappingLabels } from "../../../src/snapshots/mapping-labels.ts";
import { createOverlaySnapshotter } from "../../../src/snapshots/overlayfs/overlay-snapshotter.ts";
import { createOwnerMapping } from "../../../src/snapshots/overlayfs/owner-mapping.ts";
import { scratch } from "../../support/scratch.ts";
import { testTrees } from "../../support/trees.ts";

const skip = process.getuid?.() === 0 ? false : "needs root";
const call = { signal: new AbortController().signal };
const ids = [{ containerID: 0, hostID: 300_000, size: 65_536 }];
const mappings = { uids: ids, gids: ids };
const options = { ...call, labels: mappingLabels(mappings) };
const program = pauseBinaryPath();
/** cap_net_raw+ep as setcap writes it. */
const capability = Buffer.from("0100000200200000000000000000000000000000", "hex");

async function setUp(t: TestContext, canMap: boolean) {
  const home = await scratch({ space: false });
  const target = await home.folder("target");
  t.after(async () => {
    unmount(target);
    const table = await readFile("/proc/self/mountinfo", "utf8");
    await home[Symbol.asyncDispose]();
    assert.ok(!table.includes(home.path), "a mount was left behind");
  });
  const root = await home.folder("root");
  const owners = await createOwnerMapping({
    root,
    program,
    trees: testTrees().remover,
    log: silentLogger,
  });
  assert.equal(await owners.canMap(), true, "this file system maps");
  const snapshotter = await createOverlaySnapshotter({
    root,
    metadata: openMemoryMetadata(silentLogger),
    log: silentLogger,
    trees: testTrees(),
    owners: { ...owners, canMap: () => Promise.resolve(canMap) },
  });
  await makeLayer(snapshotter);
  return { snapshotter, target, scratchFolder: path.join(home.path, "scratch-mounts") };
}

async function makeLayer(snapshotter: FolderSnapshotter): Promise<void> {
  await snapshotter.prepare("n", "layer", "", call);
  const [files = ""] = snapshotter.directories("n", "layer");
  const file = (name: string): string => path.join(files, name);
  await chmod(files, 0o751);
  await mkdir(file("folder"));
  await writeFile(file("folder/roots"), "x");
  await writeFile(file("users"), "x");
  await chown(file("users"), 1000, 2000);
  await writeFile(file("su"), "x");
  await chmod(file("su"), 0o4755);
  await writeFile(file("ping"), "x");
  writeXattr(file("ping"), "security.capability", capability);
  await symlink("/etc/passwd", file("link"));
  await writeFile(oddIn(files), "x");
  await writeFile(file("far"), "x");
  await chown(file("far"), 100_000, 0);
  await snapshotter.commit("n", "image", "layer", call);
}

/** A name that is not UTF-8. */
function oddIn(folder: string): Buffer {
  return Buffer.concat([Buffer.from(`${folder}/o`), Buffer.from([0xff, 0xfe])]);
}

async function assertMapped(folder: string): Promise<void> {
  const owner = async (name: string): Promise<string> => {
    const { uid, gid } = await lstat(path.join(folder, name));
    return `${name} ${uid}:${gid}`;
  };
  const names = ["", "folder", "folder/roots", "users", "su", "ping", "link", "far"];
  assert.deepEqual(await Promise.all(names.map(owner)), [
    " 300000:300000",
    "folder 300000:300000",
    "folder/roots 300000:300000",
    "users 301000:302000",
    "su 300000:300000",
    "ping 300000:300000",
    "link 300000:300000",
    "far 65534:300000",
  ]);
  assert.equal((await lstat(oddIn(folder))).uid, 300_000);
  assert.equal((await lstat(folder)).mode & 0o7777, 0o751);
  assert.equal((await lstat(path.join(folder, "su"))).mode & 0o7777, 0o4755);
  // Seen from the host, it is the mapped root's.
  const found = readXattr(path.join(folder, "ping"), "security.capability", 64);
  assert.equal(found?.length, 24);
  assert.equal(found.readUInt32LE(20), 300_000);
}

test("a snapshot for a user namespace shows mapped owners by its mounts", { skip }, async (t) => {
  const { snapshotter, target, scratchFolder } = await setUp(t, true);
  const [mount] = await snapshotter.prepare("n", "mine", "image", options);
  assert.ok(mount && isMapped(mount));
  await mountMapped(mount, target, { program, scratchFolder });
  await assertMapped(target);
  await writeFile(path.join(target, "folder/roots"), "y");
  await assertMapped(target);
});

test("a view for a user namespace shows mapped owners too", { skip }, async (t) => {
  const { snapshotter, target, scratchFolder } = await setUp(t, true);
  const [mount] = await snapshotter.view("n", "mine", "image", options);
  assert.ok(mount && isMapped(mount));
  await mountMapped(mount, target, { program, scratchFolder });
  await assertMapped(target);
  await assert.rejects(writeFile(path.join(target, "new"), ""), { code: "EROFS" });
});

test("a snapshot has copies of all files where mounts cannot map", { skip }, async (t) => {
  const { snapshotter, target } = await setUp(t, false);
  const [mount] = await snapshotter.prepare("n", "mine", "image", options);
  assert.ok(mount && !isMapped(mount));
  assert.deepEqual(snapshotter.mounts("n", "mine"), [mount]);
  mountSpec(mount, target);
  await assertMapped(target);
  const [view] = await snapshotter.view("n", "view", "image", options);
  assert.ok(view && !isMapped(view));
});

test("a snapshotter that maps nothing leaves owners to its client", async () => {
  await using home = await scratch({ space: false });
  const snapshotter = await createOverlaySnapshotter({
    root: home.path,
    metadata: openMemoryMetadata(silentLogger),
    log: silentLogger,
    trees: testTrees(),
  });
  const [mount] = await snapshotter.prepare("n", "a", "", options);
  assert.ok(mount && !isMapped(mount));
});

test("labels that make no sense are refused, and nothing is made", { skip }, async (t) => {
  const { snapshotter } = await setUp(t, true);
  const labels = { ...options.labels, "containerd.io/snapshot/uidmapping": "all" };
  await assert.rejects(snapshotter.prepare("n", "a", "image", { ...call, labels }), {
    code: "INVALID_ARGUMENT",
  });
  await assert.rejects(async () => snapshotter.stat("n", "a"), { code: "NOT_FOUND" });
});
