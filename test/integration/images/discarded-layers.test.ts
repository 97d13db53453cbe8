// SPDX-License-Identifier: Apache-2.0
// `discard_unpacked_layers` and `pinned` of [images].
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { defaultConfig } from "../../../src/config/defaults.ts";
import type { Digest } from "../../../src/content/ports.ts";
import type { Image } from "../../../src/images/ports.ts";
import { type Scratch, scratch } from "../../support/scratch.ts";
import {
  digestIn,
  type ScriptedImage,
  type ScriptedRegistry,
  scriptedImage,
  serveImage,
} from "../../support/scripted-registry.ts";
import { until } from "../../support/until.ts";
import { type Library, namespace, openLibrary } from "./library.ts";

const skip = process.getuid?.() === 0 ? false : "needs root";
const call = () => ({ signal: AbortSignal.timeout(240_000) });

suite("layers that need not stay", { skip }, () => {
  let home: Scratch;
  let image: ScriptedImage;
  let registry: ScriptedRegistry;
  before(async () => {
    home = await scratch({ prefix: "discard" });
    image = await scriptedImage(await home.folder("image"), "discarded");
    registry = await serveImage(image, (request, response) => {
      const isDenied = digestIn(request) === image.layer && request.url?.startsWith("/v2/bad/");
      if (isDenied) response.writeHead(403).end();
      return isDenied === true;
    });
  });
  after(async () => {
    await registry?.[Symbol.asyncDispose]();
    await home?.[Symbol.asyncDispose]();
  });

  const has = ({ content }: Library): boolean =>
    content.info(namespace, image.layer as Digest) !== undefined;
  /** Requests for the layer since `from`. */
  const asked = (from: number): readonly string[] =>
    registry.heard.slice(from).filter((one) => one.includes(image.layer));
  async function withoutLayer(
    config: { discardUnpackedLayers: boolean } = { discardUnpackedLayers: true },
  ): Promise<Library & { pulled: Image }> {
    const library = await openLibrary(await home.folder(crypto.randomUUID()), { config });
    const pulled = await library.images.pull(`${registry.host}/good/x`, call());
    await until("the layer's blob is gone", () => !has(library));
    return { ...library, pulled };
  }

  test("go once they are unpacked, and the image works", async () => {
    const { images, content, snapshotter, pulled } = await withoutLayer();
    assert.equal(content.list(namespace).length, 2);
    assert.equal(snapshotter.stat(namespace, pulled.chainId).kind, "COMMITTED");
    await images.unpack(pulled, call());
    await images.collectGarbage(call());
    assert.equal(images.find(pulled.id)?.chainId, pulled.chainId);
  });

  test("are not fetched again by who may have them, and stay away", async () => {
    const library = await withoutLayer();
    const from = registry.heard.length;
    await library.images.pull(`${registry.host}/good/x:other`, call());
    assert.deepEqual(asked(from), []);
    await library.images.pull(`${registry.host}/another/x`, call());
    assert.equal(asked(from).length, 1);
    assert.match(asked(from)[0]!, /^HEAD /);
    await library.images.pull(`${registry.host}/another/x`, call());
    assert.equal(asked(from).length, 1);
    assert.equal(has(library), false);
  });

  test("are refused to who may not have them", async () => {
    const { images } = await withoutLayer();
    await assert.rejects(images.pull(`${registry.host}/bad/x`, call()), {
      code: "PERMISSION_DENIED",
    });
  });

  test("are no damage", async () => {
    const { images } = await withoutLayer();
    const answers = images.verify(undefined, call());
    const counts = { images: 1, blobs: 2, layers: 0 };
    assert.deepEqual(await answers.next(), { done: true, value: counts });
  });

  test("come back with the next pull when they are to stay", async () => {
    const config = { discardUnpackedLayers: true };
    const library = await withoutLayer(config);
    config.discardUnpackedLayers = false;
    await library.images.pull(`${registry.host}/good/x`, call());
    await library.images.collectGarbage(call());
    assert.equal(has(library), true);
    config.discardUnpackedLayers = true;
    await library.images.pull(`${registry.host}/good/x`, call());
    await until("the layer's blob is gone", () => !has(library));
  });

  test("are made anew from the registry when their snapshot is gone", async () => {
    const library = await withoutLayer();
    const { images, snapshotter, pulled } = library;
    await snapshotter.remove(namespace, pulled.chainId, call());
    await images.pull(`${registry.host}/good/x`, call());
    assert.equal(snapshotter.stat(namespace, pulled.chainId).kind, "COMMITTED");
  });

  test("an image is pinned by a pattern of its name, from the moment that it is there", async () => {
    const config: { pinned: readonly string[] } = { pinned: ["*/good/*"] };
    const { images } = await openLibrary(await home.folder("pinned"), { config });
    const { id } = await images.pull(`${registry.host}/good/x`, call());
    assert.equal(images.find(id)?.pinned, true);
    config.pinned = ["*/other/*"];
    assert.equal(images.find(id)?.pinned, false);
    assert.deepEqual(defaultConfig.images.pinned, []);
  });
});
