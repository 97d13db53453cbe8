// SPDX-License-Identifier: Apache-2.0
// Which parts of an image for several platforms a push sends.
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { digestOf } from "../../../src/content/digest.ts";
import { storeBytes } from "../../../src/images/image-source.ts";
import type { PushOptions } from "../../../src/images/ports.ts";
import { type Scratch, scratch } from "../../support/scratch.ts";
import { serveUploads } from "../../support/upload-registry.ts";
import { type Library, namespace, openLibrary } from "./library.ts";

const skip = process.getuid?.() === 0 ? false : "needs root";
const call = (): { signal: AbortSignal } => ({ signal: AbortSignal.timeout(240_000) });
const types = "application/vnd.oci.image";
const name = "example.com/multi:1";

interface Descriptor {
  readonly mediaType: string;
  readonly digest: ReturnType<typeof digestOf>;
  readonly size: number;
}

/** An image that is one document beside another: nobody unpacks it here. */
interface Made {
  readonly manifest: Descriptor;
  readonly config: Descriptor;
  readonly layer: Descriptor;
  readonly bytes: Readonly<Record<"manifest" | "config" | "layer", Buffer>>;
}

const described = (mediaType: string, bytes: Buffer): Descriptor => ({
  mediaType,
  digest: digestOf(bytes),
  size: bytes.length,
});

function make(architecture: string, layerType = `${types}.layer.v1.tar`): Made {
  const layer = Buffer.from(`layer for ${architecture}`);
  const diffIds = [digestOf(layer)];
  const config = Buffer.from(
    JSON.stringify({ os: "linux", architecture, rootfs: { type: "layers", diff_ids: diffIds } }),
  );
  const parts = {
    config: described(`${types}.config.v1+json`, config),
    layer: described(layerType, layer),
  };
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: `${types}.manifest.v1+json`,
      config: parts.config,
      layers: [parts.layer],
    }),
  );
  const bytes = { manifest, config, layer };
  return { manifest: described(`${types}.manifest.v1+json`, manifest), ...parts, bytes };
}

suite("pushes of images for several platforms", { skip }, () => {
  const here = make("amd64");
  const other = make("arm64");
  const proof = make("unknown");
  const index = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: `${types}.index.v1+json`,
      manifests: [
        { ...here.manifest, platform: { os: "linux", architecture: "amd64" } },
        { ...other.manifest, platform: { os: "linux", architecture: "arm64", variant: "v8" } },
        { ...proof.manifest, platform: { os: "unknown", architecture: "unknown" } },
      ],
    }),
  );
  const root = described(`${types}.index.v1+json`, index);
  let home: Scratch;
  let count = 0;
  before(async () => {
    home = await scratch({ prefix: "pushp" });
  });
  after(() => home?.[Symbol.asyncDispose]());

  /** A library with the index, and these parts of it. */
  const withParts = async (...parts: readonly Buffer[]): Promise<Library> => {
    const library = await openLibrary(await home.folder(`library ${(count += 1)}`));
    for (const bytes of [index, ...parts]) {
      await storeBytes({ content: library.content, namespace }, bytes, call());
    }
    await library.images.records.point([name], { ...root, annotations: {} }, call());
    return library;
  };
  const allOf = ({ bytes }: Made): readonly Buffer[] => Object.values(bytes);
  const pushed = async (library: Library, options: Partial<PushOptions> = {}) => {
    await using registry = await serveUploads();
    const destination = `${registry.host}/c/multi:1`;
    const result = await library.images.push(name, { destination, ...call(), ...options });
    const manifests = [...registry.manifests.keys()].filter((one) => one !== "1").toSorted();
    const puts = registry.asked.filter((one) => /^PUT .*manifests/.test(one)).length;
    return { ...result, manifests, blobs: registry.blobs.size, puts };
  };

  test("all of it, where all is here, and the index last", async () => {
    const library = await withParts(...[here, other, proof].flatMap(allOf));
    for (const options of [{}, { allPlatforms: true }]) {
      const { digest, left, manifests, blobs, puts } = await pushed(library, options);
      assert.deepEqual([digest, left, blobs, puts], [root.digest, [], 6, 4]);
      const all = [root, here.manifest, other.manifest, proof.manifest].map((one) => one.digest);
      assert.deepEqual(manifests, all.toSorted());
    }
  });

  test("one platform that is asked for", async () => {
    const library = await withParts(...[here, other, proof].flatMap(allOf));
    const { digest, left, manifests, blobs } = await pushed(library, { platform: "linux/arm64" });
    assert.deepEqual(
      [digest, left, manifests, blobs],
      [other.manifest.digest, ["linux/amd64", "unknown/unknown"], [other.manifest.digest], 2],
    );
    await assert.rejects(pushed(library, { platform: "linux/s390x" }), {
      code: "NOT_FOUND",
      message: /nothing for linux\/s390x, only for linux\/amd64, linux\/arm64\/v8/,
    });
  });

  test("an image for one platform, of another", async () => {
    const library = await withParts(...allOf(here));
    const single = { ...here.manifest, annotations: {} };
    await library.images.records.point([name], single, call());
    await assert.rejects(pushed(library, { platform: "windows/amd64" }), {
      code: "NOT_FOUND",
      message: /nothing for windows\/amd64, only for linux\/amd64$/,
    });
    const { digest } = await pushed(library, { platform: "linux/amd64" });
    assert.equal(digest, here.manifest.digest);
  });

  test("the one that is here, and the others are named", async () => {
    const library = await withParts(...allOf(here));
    const { digest, left } = await pushed(library);
    assert.deepEqual([digest, left], [here.manifest.digest, ["linux/arm64/v8", "unknown/unknown"]]);
    await assert.rejects(pushed(library, { allPlatforms: true }), {
      code: "FAILED_PRECONDITION",
      message:
        /not all of the image is on this node: linux\/arm64\/v8, unknown\/unknown are missing/,
    });
    await assert.rejects(pushed(library, { platform: "linux/arm64" }), {
      code: "FAILED_PRECONDITION",
      message: "what the image has for linux/arm64 is not on this node",
    });
  });

  test("a layer that is neither here nor there", async () => {
    const library = await withParts(here.bytes.manifest, here.bytes.config);
    await assert.rejects(pushed(library), {
      code: "FAILED_PRECONDITION",
      message: new RegExp(`blob "${here.layer.digest}" is not on this node, and the registry has`),
    });
  });

  test("several that are here, and not all", async () => {
    const library = await withParts(...[here, other].flatMap(allOf));
    await assert.rejects(pushed(library), {
      code: "FAILED_PRECONDITION",
      message:
        /unknown\/unknown is missing; with --platform one that is here is pushed \(linux\/amd64, linux\/arm64\/v8\), or pull the others$/,
    });
  });

  test("layers that must not be distributed stay, unless they are asked for", async () => {
    const foreign = make("amd64", `${types}.layer.nondistributable.v1.tar`);
    const library = await openLibrary(await home.folder("foreign"));
    for (const bytes of allOf(foreign)) {
      await storeBytes({ content: library.content, namespace }, bytes, call());
    }
    await library.images.records.point([name], { ...foreign.manifest, annotations: {} }, call());
    assert.equal((await pushed(library)).blobs, 1);
    assert.equal((await pushed(library, { nonDistributable: true })).blobs, 2);
  });
});
