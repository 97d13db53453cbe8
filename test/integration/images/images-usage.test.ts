// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";
import { scratch } from "../../support/scratch.ts";
import { scriptedImage, serveImage } from "../../support/scripted-registry.ts";
import { mountSmallDisk } from "../../support/small-disk.ts";
import { namespace, openLibrary } from "./library.ts";

const skip = process.getuid?.() === 0 ? false : "needs root";
const call = { signal: AbortSignal.timeout(240_000) };

test("what images take is told for each disk that they are on", { skip }, async () => {
  await using home = await scratch({ prefix: "use" });
  const image = await scriptedImage(await home.folder("image"), "usage");
  await using registry = await serveImage(image);
  const bytesOf = async (root: string) => {
    const library = await openLibrary(root);
    const { images, content, snapshotter } = library;
    await images.pull(`${registry.host}/a/b`, call);
    const blobs = content.list(namespace);
    const chainId = images.list()[0]?.chainId ?? "";
    const layer = await snapshotter.usage(namespace, chainId, call);
    return {
      usage: await images.usage(call),
      blobs: { bytes: blobs.reduce((sum, one) => sum + one.sizeBytes, 0n), inodes: 3n },
      layers: { bytes: layer.sizeBytes, inodes: layer.inodes },
    };
  };
  const one = await bytesOf(await home.folder("one"));
  assert.ok(one.blobs.bytes > 256n * 1024n && one.layers.bytes >= 256n * 1024n);
  assert.deepEqual(one.usage, [
    {
      folder: path.join(home.path, "one", "snapshots"),
      bytes: one.blobs.bytes + one.layers.bytes,
      inodes: one.blobs.inodes + one.layers.inodes,
    },
  ]);

  const root = await home.folder("two");
  const apart = await home.folder("two/content");
  using _disk = mountSmallDisk("tmpfs", apart, { bytes: 8 << 20, image: "" });
  const two = await bytesOf(root);
  assert.deepEqual(two.usage, [
    { folder: path.join(root, "snapshots"), ...two.layers },
    { folder: apart, ...two.blobs },
  ]);
});
