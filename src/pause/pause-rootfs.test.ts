// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { removeFolderSync } from "../base/remove-folder.ts";
import { preparePauseRootfs } from "./pause-rootfs.ts";

const top = mkdtempSync(path.join(tmpdir(), "berth pause "));
after(() => removeFolderSync(top));
const binary = path.join(top, "pause-bin");
writeFileSync(binary, "not really a program");

test("preparePauseRootfs lays out /pause and the mount points, whatever the umask is", async () => {
  const before = process.umask(0o077);
  try {
    const {
      path: rootfs,
      digest,
      sizeBytes,
    } = await preparePauseRootfs({ binary, folder: path.join(top, "a") });
    assert.deepEqual(readdirSync(rootfs).toSorted(), [
      "dev",
      "etc",
      "pause",
      "proc",
      "run",
      "sys",
      "tmp",
    ]);
    assert.deepEqual(readdirSync(path.join(rootfs, "etc")).toSorted(), [
      "hostname",
      "hosts",
      "resolv.conf",
    ]);
    assert.equal(statSync(path.join(rootfs, "pause")).mode & 0o7777, 0o755);
    assert.equal(statSync(rootfs).mode & 0o7777, 0o755);
    assert.ok(rootfs.endsWith(`/a/${digest.slice("sha256:".length)}/rootfs`));
    assert.equal(sizeBytes, 20n);
  } finally {
    process.umask(before);
  }
});

test("preparePauseRootfs keeps what is there, mends what is damaged, and leaves nothing beside it", async () => {
  const folder = path.join(top, "b");
  const first = await preparePauseRootfs({ binary, folder });
  const inode = statSync(first.path).ino;
  assert.equal(statSync((await preparePauseRootfs({ binary, folder })).path).ino, inode);
  rmSync(path.join(first.path, "etc/hosts"));
  writeFileSync(path.join(first.path, "pause"), "damaged");
  await preparePauseRootfs({ binary, folder });
  assert.equal(readFileSync(path.join(first.path, "pause"), "utf8"), "not really a program");
  assert.equal(readdirSync(folder).length, 1);
});

test("preparePauseRootfs may be called twice at once", async () => {
  const folder = path.join(top, "c");
  const both = await Promise.all([1, 2, 3].map(() => preparePauseRootfs({ binary, folder })));
  assert.equal(new Set(both.map((one) => one.path)).size, 1);
  assert.equal(readdirSync(folder).length, 1);
});

test("preparePauseRootfs says what to do when the binary was not built", async () => {
  await assert.rejects(
    preparePauseRootfs({ binary: path.join(top, "none"), folder: top }),
    /cannot read the sandbox binary .*none: it was not built: run scripts\/setup\.sh/,
  );
});
