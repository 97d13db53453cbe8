// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { isFault } from "../../../src/base/errors.ts";
import { mount } from "../../../src/base/os/mount.ts";
import { MountFlag } from "../../../src/base/os/mount-options.ts";
import { scratch } from "../../support/scratch.ts";
import { mountSmallDisk } from "../../support/small-disk.ts";
import { assertWhole, referenceLayers, serveSwept, sweptImage } from "./disk-sweep.ts";
import { needed, type Room, sweepFullDisk } from "./full-disk-sweep.ts";
import { openLibrary } from "./library.ts";

// A few points of the sweep; test/e2e/conformance/full-disk.test.ts has all.

const skip = process.getuid?.() === 0 ? false : "needs root";
const call = () => ({ signal: AbortSignal.timeout(240_000) });

test("a disk that is full at any byte fails a pull, and leaves nothing half", {
  skip,
}, async () => {
  const bytes = [8, 300, 450, 560].map((kib): Room => ({ bytes: kib * 1024 }));
  const inodes = [4, 14, 60].map((count): Room => ({ inodes: count }));
  const failed = await sweepFullDisk([...bytes, ...inodes, needed]);
  assert.ok(failed >= 4, `${failed} failed`);
});

test("so does a load", { skip }, async () => {
  const bytes = [8, 300, 560].map((kib): Room => ({ bytes: kib * 1024 }));
  const failed = await sweepFullDisk([...bytes, { inodes: 14 }, needed], "load");
  assert.ok(failed >= 3, `${failed} failed`);
});

test("an image whose layers delete what is below is whole", { skip }, async () => {
  await using home = await scratch({ prefix: "whole" });
  const image = await sweptImage(await home.folder("image"), "deleting");
  await using registry = await serveSwept(image);
  const { images } = await openLibrary(await home.folder("library"));
  await images.pull(`${registry.host}/a/b`, call());
  const found = [];
  for await (const finding of images.verify(undefined, call())) found.push(finding);
  assert.deepEqual(found, []);
});

for (const part of ["content", "snapshots"]) {
  test(`a disk of ${part} that has become read-only is named`, { skip }, async () => {
    await using home = await scratch({ prefix: "readonly" });
    const image = await sweptImage(await home.folder("image"), "read-only");
    const reference = await referenceLayers(await home.folder("reference"), image);
    await using registry = await serveSwept(image);
    const root = await home.folder("library");
    const target = await home.folder(`library/${part}`);
    using _disk = mountSmallDisk("tmpfs", target, { bytes: 16 << 20, image: "" });
    const library = await openLibrary(root);
    const remount = (flags: number): void =>
      mount({ source: "tmpfs", target, type: "tmpfs", flags: MountFlag.remount | flags, data: "" });
    remount(MountFlag.readOnly);
    await assert.rejects(library.images.pull(`${registry.host}/a/b`, call()), (error) => {
      assert.ok(isFault(error, "UNKNOWN"), String(error));
      assert.match(
        error.message,
        /^cannot pull ".*": .*cannot .* at "\/.*": read-only file system \(EROFS\)$/,
      );
      return true;
    });
    remount(0);
    await library.images.pull(`${registry.host}/a/b`, call());
    assertWhole(library, image, reference);
  });
}
