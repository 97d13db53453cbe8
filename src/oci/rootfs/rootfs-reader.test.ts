// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, symlink, truncate, writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { scratch } from "../../../test/support/scratch.ts";
import { FileType, makeNode, setXattr } from "../../base/os/node-files.ts";
import { workHere } from "../../trees/run-here.ts";
import { RememberedFiles } from "./remembered-files.ts";
import { openRootfs } from "./rootfs-reader.ts";

const call = { signal: new AbortController().signal };
const root = process.getuid?.() === 0 ? false : "needs root";

/** Which user a file of users calls number 1; undefined when there is no such file. */
function reader(layers: string | readonly string[]): (file: string) => Promise<string | undefined> {
  const rootfs = openRootfs(layers, { work: workHere() });
  return async (file) =>
    (await rootfs.searchAccounts(file, { kind: "uid", uid: 1 }, call)).user?.name;
}

const users = (name: string): string => `${name}:x:1:1::/:\n`;

test("no link leads out of the image", async () => {
  await using place = await scratch();
  const folder = await place.folder("root");
  await writeFile(path.join(place.path, "secret"), users("host"));
  await mkdir(path.join(folder, "etc"));
  await mkdir(path.join(folder, "real"));
  await writeFile(path.join(folder, "real/passwd"), users("inside"));
  await writeFile(path.join(folder, "secret"), users("image"));
  const odd = Buffer.from([0x2f, 0xff, 0xfe]);
  await writeFile(Buffer.concat([Buffer.from(folder), odd]), users("odd"));
  const links: [string, string | Buffer, string | undefined][] = [
    ["absolute", "/secret", "image"],
    ["climbing", "../../../secret", "image"],
    ["host", path.join(place.path, "secret"), undefined],
    ["relative", "../real/passwd", "inside"],
    ["proc", "/proc/self/root/etc/passwd", undefined],
    ["bytes", odd, "odd"],
  ];
  const read = reader(folder);
  for (const [name, target, out] of links) {
    await symlink(target, path.join(folder, "etc", name));
    assert.equal(await read(`/etc/${name}`), out, name);
  }
  await symlink("/real", path.join(folder, "linked"));
  assert.equal(await read("/linked/passwd"), "inside");
  assert.equal(await read("/linked/../secret"), "image");
  await symlink("loop", path.join(folder, "loop"));
  await assert.rejects(read("/loop"), /too many symbolic links/);
  await symlink("real/../".repeat(500), path.join(folder, "far"));
  await symlink("far/far/far", path.join(folder, "farther"));
  await assert.rejects(read("/farther"), /too many folders/);
});

test("only regular files are read, long ones by the worker, within a bound", {
  skip: root,
}, async () => {
  await using place = await scratch();
  const read = reader(place.path);
  makeNode(path.join(place.path, "fifo"), FileType.fifo | 0o600, 0, 0);
  await mkdir(path.join(place.path, "folder"));
  await symlink("/dev/zero", path.join(place.path, "zero"));
  for (const name of ["fifo", "folder", "none/x", "zero"])
    assert.equal(await read(name), undefined);
  const line = `${"x".repeat(100)}:x:9:9::/:\n`;
  await writeFile(path.join(place.path, "long"), line.repeat(10_000) + users("last"));
  assert.equal(await read("/long"), "last");
  await truncate(path.join(place.path, "long"), 2 ** 26 + 1);
  await assert.rejects(read("/long"), { code: "INVALID_ARGUMENT", message: /has 67108865 bytes/ });
});

test("a small file is read once where that is remembered", async () => {
  await using place = await scratch();
  const files = new RememberedFiles();
  const query = { kind: "uid", uid: 1 } as const;
  const find = async (): Promise<string | undefined> => {
    const rootfs = openRootfs([place.path], { work: workHere(), files });
    return (await rootfs.searchAccounts("/passwd", query, call)).user?.name;
  };
  await writeFile(path.join(place.path, "passwd"), users("first"));
  assert.equal(await find(), "first");
  await writeFile(path.join(place.path, "passwd"), users("second"));
  assert.equal(await find(), "first");
});

test("layers merge as overlayfs does: upper wins, whiteouts remove, opaque hides", {
  skip: root,
}, async () => {
  await using place = await scratch();
  const [upper, lower] = [await place.folder("upper"), await place.folder("lower")];
  const write = async (file: string, content: string): Promise<void> => {
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, users(content));
  };
  for (const name of ["a", "b", "c"]) await write(path.join(lower, "d", name), `lower-${name}`);
  await write(path.join(lower, "o/hidden"), "hidden");
  await write(path.join(lower, "was/folder"), "x");
  await write(path.join(upper, "d/a"), "upper-a");
  await write(path.join(upper, "o/seen"), "seen");
  await write(path.join(upper, "was"), "file");
  makeNode(path.join(upper, "d/b"), FileType.character, 0, 0);
  setXattr(path.join(upper, "o"), "trusted.overlay.opaque", Buffer.from("y"));
  const read = reader([upper, lower]);
  const found: Record<string, string | undefined> = {};
  for (const file of ["/d/a", "/d/b", "/d/c", "/o/hidden", "/o/seen", "/was", "/was/folder"]) {
    found[file] = await read(file);
  }
  assert.deepEqual(found, {
    "/d/a": "upper-a",
    "/d/b": undefined,
    "/d/c": "lower-c",
    "/o/hidden": undefined,
    "/o/seen": "seen",
    "/was": "file",
    "/was/folder": undefined,
  });
});

test("copyDirectory finds the folder through links, inside the image", async () => {
  await using place = await scratch();
  const folder = await place.folder("root");
  await mkdir(path.join(folder, "real/data"), { recursive: true });
  await writeFile(path.join(folder, "real/data/seed"), "x");
  await symlink("/real", path.join(folder, "link"));
  await symlink("/etc", path.join(folder, "host"));
  const rootfs = openRootfs(folder, { work: workHere() });
  const copy = path.join(place.path, "copy");
  const size = { bytes: 1, inodes: 2 };
  assert.deepEqual(await rootfs.copyDirectory("/link/data", copy, {}, call), size);
  assert.equal(execFileSync("ls", [copy], { encoding: "utf8" }), "seed\n");
  for (const none of ["/none", "/real/data/seed", "/host"]) {
    assert.equal(await rootfs.copyDirectory(none, `${copy}2`, {}, call), undefined, none);
  }
});
