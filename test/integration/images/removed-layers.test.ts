// SPDX-License-Identifier: Apache-2.0
// Layers that a client of the Snapshots service removes while a pull counts on them.
import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { removeFolderSync } from "../../../src/base/remove-folder.ts";
import { writeRawLayout } from "../../support/raw-image.ts";
import { type Scratch, scratch } from "../../support/scratch.ts";
import {
  digestIn,
  type Handler,
  type ScriptedImage,
  serveImage,
} from "../../support/scripted-registry.ts";
import { tarBytes } from "../../support/tar-bytes.ts";
import { namespace, openLibrary } from "./library.ts";

const skip = process.getuid?.() === 0 ? false : "needs root";
const call = () => ({ signal: AbortSignal.timeout(240_000) });
const layers = ["base", "middle", "top"].map((name) => ({
  blob: tarBytes([{ name, content: name }]),
}));

suite("a layer that is removed under a pull", { skip }, () => {
  let home: Scratch;
  let image: ScriptedImage;
  let lowest = "";

  before(async () => {
    home = await scratch({ prefix: "gone" });
    const layout = await home.folder("app");
    const [id = ""] = await writeRawLayout(layout, [{ tag: "app", layers }]);
    const folder = path.join(layout, "blobs/sha256");
    const blobs = new Map<string, Buffer>();
    for (const name of await readdir(folder)) {
      blobs.set(`sha256:${name}`, await readFile(path.join(folder, name)));
    }
    const index = await readFile(path.join(layout, "index.json"), "utf8");
    const { manifests } = JSON.parse(index) as { manifests: [ScriptedImage["manifest"]] };
    const parsed = JSON.parse(String(blobs.get(manifests[0].digest))) as {
      layers: readonly { readonly digest: string }[];
    };
    lowest = parsed.layers[0]?.digest ?? "";
    image = { id, manifest: manifests[0], layer: parsed.layers.at(-1)?.digest ?? "", blobs };
  });
  after(async () => home?.[Symbol.asyncDispose]());

  /** A library that has the image's lowest layers, `count` of them, and nothing more. */
  async function withBase(count: number) {
    const layout = await home.folder(crypto.randomUUID());
    await writeRawLayout(layout, [{ tag: "example.test/base:1", layers: layers.slice(0, count) }]);
    const library = await openLibrary(await home.folder(crypto.randomUUID()));
    const [base] = await library.images.load(layout, call());
    return { ...library, base: base?.chainId ?? "" };
  }

  for (const count of [1, 2]) {
    test(`is made again, and what is upon it, with ${count} of them there`, async () => {
      const { images, snapshotter, base, layer } = await withBase(count);
      let isRemoved = false;
      const first: Handler = (request, response) => {
        if (isRemoved || digestIn(request) !== image.layer) return false;
        isRemoved = true;
        // By then the pull has found the layers below.
        const remove = (): Promise<void> => snapshotter.remove(namespace, base, call());
        void remove().then(() => response.end(image.blobs.get(image.layer)));
        return true;
      };
      await using registry = await serveImage(image, first);
      const { chainId } = await images.pull(`${registry.host}/app/app`, call());
      assert.equal(isRemoved, true);
      const found = await Promise.all(
        [0, 1, 2].map(async (depth) => (await readdir(layer(chainId, depth))).join()),
      );
      assert.deepEqual(found, ["top", "middle", "base"]);
    });
  }

  test("is made again where it goes while another layer takes a file from it", async () => {
    const x = { blob: tarBytes([{ name: "x", content: "x" }]) };
    const link = { blob: tarBytes([{ name: "a", flag: "1", link: "x" }]) };
    const layout = await home.folder(crypto.randomUUID());
    const { images, snapshotter, layer } = await openLibrary(
      await home.folder(crypto.randomUUID()),
    );
    await writeRawLayout(layout, [{ tag: "example.test/x:1", layers: [x] }]);
    const [{ chainId: base } = { chainId: "" }] = await images.load(layout, call());
    const directories = snapshotter.directories.bind(snapshotter);
    let removed: Promise<void> | undefined;
    snapshotter.directories = (space, key) => {
      const found = directories(space, key);
      if (key === base && removed === undefined) {
        removed = snapshotter.remove(space, base, call());
        for (const folder of found) removeFolderSync(folder);
      }
      return found;
    };
    const other = await home.folder(crypto.randomUUID());
    await writeRawLayout(other, [{ tag: "example.test/link:1", layers: [x, link] }]);
    const [made] = await images.load(other, call());
    assert.notEqual(removed, undefined);
    await removed;
    assert.deepEqual((await readdir(layer(made?.chainId ?? ""))).sort(), ["a", "x"]);
    assert.deepEqual(await readdir(layer(made?.chainId ?? "", 1)), ["x"]);
  });

  test("is made again where it is the topmost", async () => {
    const { images, snapshotter, base: top, layer } = await withBase(3);
    let isRemoved = false;
    const first: Handler = (request, response) => {
      if (isRemoved || digestIn(request) !== lowest) return false;
      isRemoved = true;
      // Until then the pull has found the topmost, and waits for this one.
      setTimeout(() => {
        const removed = snapshotter.remove(namespace, top, call());
        void removed.then(() => response.end(image.blobs.get(lowest)));
      }, 500);
      return true;
    };
    await using registry = await serveImage(image, first);
    const { chainId } = await images.pull(`${registry.host}/app/app`, call());
    assert.equal(isRemoved, true);
    assert.deepEqual(await readdir(layer(chainId)), ["top"]);
  });
});
