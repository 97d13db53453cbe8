// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import {
  chmod,
  chown,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  symlink,
  writeFile,
} from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { scratch } from "../../../test/support/scratch.ts";
import { isFault } from "../../base/errors.ts";
import { FileType, makeNode, setXattr } from "../../base/os/node-files.ts";
import { openRootfs } from "./rootfs-reader.ts";

const text = async (bytes: Promise<Uint8Array | undefined>): Promise<string | undefined> => {
  const found = await bytes;
  return found === undefined ? undefined : Buffer.from(found).toString();
};

test("no link leads out of the image", async () => {
  await using place = await scratch();
  const root = await place.folder("root");
  await writeFile(path.join(place.path, "secret"), "host");
  await mkdir(path.join(root, "etc"));
  await mkdir(path.join(root, "real"));
  await writeFile(path.join(root, "real/passwd"), "inside");
  await writeFile(path.join(root, "secret"), "image");
  const links: [string, string, string | undefined][] = [
    ["absolute", "/secret", "image"],
    ["climbing", "../../../secret", "image"],
    ["host", path.join(place.path, "secret"), undefined],
    ["relative", "../real/passwd", "inside"],
    ["loop", "loop", undefined],
    ["proc", "/proc/self/root/etc/passwd", undefined],
  ];
  const reader = openRootfs(root);
  for (const [name, target, out] of links) {
    await symlink(target, path.join(root, "etc", name));
    const found = reader.readFile(`/etc/${name}`, 100);
    if (name === "loop") await assert.rejects(found, /too many symbolic links/);
    else assert.equal(await text(found), out, name);
  }
  await symlink("/real", path.join(root, "linked"));
  assert.equal(await text(reader.readFile("/linked/passwd", 100)), "inside");
  assert.equal(await text(reader.readFile("/linked/../secret", 100)), "image");
});

test("only regular files are read, within their bound", async (t) => {
  if (process.getuid?.() !== 0) return t.skip("needs root");
  await using place = await scratch();
  const reader = openRootfs(place.path);
  makeNode(path.join(place.path, "fifo"), FileType.fifo | 0o600, 0, 0);
  await mkdir(path.join(place.path, "folder"));
  await writeFile(path.join(place.path, "big"), "x".repeat(11));
  assert.equal(await reader.readFile("/fifo", 10), undefined);
  assert.equal(await reader.readFile("/folder", 10), undefined);
  assert.equal(await reader.readFile("/none/x", 10), undefined);
  await assert.rejects(reader.readFile("/big", 10), (error) => isFault(error, "INVALID_ARGUMENT"));
});

test("layers merge as overlayfs does: upper wins, whiteouts remove, opaque hides", async (t) => {
  if (process.getuid?.() !== 0) return t.skip("needs root");
  await using place = await scratch();
  const upper = await place.folder("upper");
  const lower = await place.folder("lower");
  const write = async (file: string, content: string): Promise<void> => {
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, content);
  };
  await write(path.join(lower, "d/a"), "lower a");
  await write(path.join(lower, "d/b"), "lower b");
  await write(path.join(lower, "d/c"), "lower c");
  await write(path.join(lower, "o/hidden"), "hidden");
  await write(path.join(lower, "was/folder"), "x");
  await write(path.join(upper, "d/a"), "upper a");
  await write(path.join(upper, "o/seen"), "seen");
  await write(path.join(upper, "was"), "now a file");
  makeNode(path.join(upper, "d/b"), FileType.character, 0, 0);
  setXattr(path.join(upper, "o"), "trusted.overlay.opaque", Buffer.from("y"));
  const reader = openRootfs([upper, lower]);
  const read = (file: string) => text(reader.readFile(file, 100));
  assert.equal(await read("/d/a"), "upper a");
  assert.equal(await read("/d/b"), undefined);
  assert.equal(await read("/d/c"), "lower c");
  assert.equal(await read("/o/hidden"), undefined);
  assert.equal(await read("/o/seen"), "seen");
  assert.equal(await read("/was"), "now a file");
  assert.equal(await read("/was/folder"), undefined);
  const copy = path.join(place.path, "copy");
  assert.equal(await reader.copyDirectory("/d", copy), true);
  assert.deepEqual(await readdir(copy), ["a", "c"]);
});

test("copyDirectory keeps modes, owners and links, and leaves devices out", async (t) => {
  if (process.getuid?.() !== 0) return t.skip("needs root");
  await using place = await scratch();
  const root = await place.folder("root", "data");
  await mkdir(path.join(root, "sub"));
  await writeFile(path.join(root, "sub/run"), "#!");
  await chmod(path.join(root, "sub/run"), 0o4755);
  await chmod(root, 0o1777);
  await symlink("/etc/passwd", path.join(root, "link"));
  makeNode(path.join(root, "null"), FileType.character | 0o666, 1, 3);
  await chown(path.join(root, "sub"), 12, 34);
  const reader = openRootfs(path.dirname(root));
  const copy = path.join(place.path, "copy");
  assert.equal(await reader.copyDirectory("/data", copy), true);
  assert.deepEqual((await readdir(copy)).sort(), ["link", "sub"]);
  assert.equal((await lstat(copy)).mode & 0o7777, 0o1777);
  assert.equal((await lstat(path.join(copy, "sub/run"))).mode & 0o7777, 0o4755);
  assert.deepEqual(
    [(await lstat(path.join(copy, "sub"))).uid, (await lstat(path.join(copy, "sub"))).gid],
    [12, 34],
  );
  assert.equal(await readlink(path.join(copy, "link")), "/etc/passwd");
  assert.equal(await readFile(path.join(copy, "sub/run"), "utf8"), "#!");
  const mapping = [{ containerID: 0, hostID: 100_000, size: 20 }];
  const mapped = path.join(place.path, "mapped");
  await reader.copyDirectory("/data", mapped, { uids: mapping, gids: mapping });
  const owner = async (name: string): Promise<readonly number[]> => {
    const { uid, gid } = await lstat(path.join(mapped, name));
    return [uid, gid];
  };
  assert.deepEqual(await Promise.all(["", "link", "sub", "sub/run"].map(owner)), [
    [100_000, 100_000],
    [100_000, 100_000],
    [100_012, 65_534],
    [100_000, 100_000],
  ]);
  assert.equal((await lstat(path.join(mapped, "sub/run"))).mode & 0o7777, 0o4755);
  assert.equal(await reader.copyDirectory("/none", path.join(place.path, "x")), false);
});
