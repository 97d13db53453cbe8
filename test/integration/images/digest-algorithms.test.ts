// SPDX-License-Identifier: Apache-2.0
// Images whose digests are not of sha256: from registries, by reference, from archives, over restarts, and damaged.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { gzipSync } from "node:zlib";
import { silentLogger } from "../../../src/base/logger.ts";
import type { Digest } from "../../../src/content/ports.ts";
import { openMemoryMetadata } from "../../../src/metadata/mirrored-store.ts";
import { ociArchitecture } from "../../support/oci-image.ts";
import { type Scratch, scratch } from "../../support/scratch.ts";
import { type ScriptedRegistry, serveImage } from "../../support/scripted-registry.ts";
import { tarBytes } from "../../support/tar-bytes.ts";
import { allRead, namespace, openLibrary } from "./library.ts";

const skip = process.getuid?.() === 0 ? false : "needs root";
const call = () => ({ signal: AbortSignal.timeout(240_000) });
const oci = "application/vnd.oci.image";

type Part = "manifest" | "config" | "layer" | "diffId";

/** An image of two layers whose parts have digests of the algorithms that are named, others of sha256. */
function imageOf(algorithms: Readonly<Partial<Record<Part, string>>>) {
  const blobs = new Map<string, Buffer>();
  const digestOf = (bytes: Buffer, part: Part): string => {
    const algorithm = algorithms[part] ?? "sha256";
    return `${algorithm}:${createHash(algorithm).update(bytes).digest("hex")}`;
  };
  const store = (bytes: Buffer, part: Part, mediaType: string) => {
    const digest = digestOf(bytes, part);
    blobs.set(digest, bytes);
    return { mediaType, digest, size: bytes.length };
  };
  const plain = ["low", "high"].map((name) => tarBytes([{ name, content: name }]));
  const config = {
    os: "linux",
    architecture: ociArchitecture(),
    rootfs: { type: "layers", diff_ids: plain.map((bytes) => digestOf(bytes, "diffId")) },
  };
  const manifest = {
    schemaVersion: 2,
    mediaType: `${oci}.manifest.v1+json`,
    config: store(Buffer.from(JSON.stringify(config)), "config", `${oci}.config.v1+json`),
    layers: plain.map((bytes) => store(gzipSync(bytes), "layer", `${oci}.layer.v1.tar+gzip`)),
  };
  const bytes = Buffer.from(JSON.stringify(manifest));
  const target = store(bytes, "manifest", manifest.mediaType);
  return { blobs, target, id: manifest.config.digest, layer: manifest.layers[1]?.digest ?? "" };
}

const kinds: readonly { what: string; algorithms: Partial<Record<Part, string>> }[] = [
  {
    what: "sha512 throughout",
    algorithms: { manifest: "sha512", config: "sha512", layer: "sha512", diffId: "sha512" },
  },
  { what: "a manifest of sha512", algorithms: { manifest: "sha512" } },
  { what: "a config of sha512", algorithms: { config: "sha512" } },
  { what: "layers of sha512", algorithms: { layer: "sha512" } },
  { what: "diff ids of sha512", algorithms: { diffId: "sha512" } },
  { what: "layers of sha384", algorithms: { layer: "sha384" } },
];

suite("digests of other algorithms", { skip }, () => {
  let home: Scratch;
  const registries = new Map<string, ScriptedRegistry>();
  const images = new Map(kinds.map(({ what, algorithms }) => [what, imageOf(algorithms)]));

  before(async () => {
    home = await scratch({ prefix: "alg" });
    for (const [what, { blobs, target, id, layer }] of images) {
      registries.set(what, await serveImage({ blobs, manifest: target, id, layer }));
    }
  });
  after(async () => {
    for (const registry of registries.values()) await registry[Symbol.asyncDispose]();
    await home?.[Symbol.asyncDispose]();
  });

  const fresh = () => home.folder(crypto.randomUUID());
  const got = (what: string) => {
    const image = images.get(what);
    const host = registries.get(what)?.host ?? "";
    assert.ok(image);
    return { ...image, host };
  };

  for (const { what } of kinds) {
    test(`an image with ${what} is pulled by tag and by digest, and outlives a restart`, async () => {
      const { host, target, id } = got(what);
      const root = await fresh();
      const metadata = openMemoryMetadata(silentLogger);
      const first = await openLibrary(root, { metadata });
      const byTag = await first.images.pull(`${host}/a/b:1`, call());
      assert.equal(byTag.id, id);
      const name = `${host}/a/b@${target.digest}`;
      assert.equal((await first.images.pull(name, call())).id, id);
      assert.deepEqual(first.images.find(id)?.repoDigests, [name]);
      const again = await openLibrary(root, { metadata });
      await allRead(again.images, 1);
      const found = again.images.find(name);
      assert.equal(found?.id, id);
      assert.equal(again.images.find(id.slice(0, 20))?.id, id);
      const file = path.join(again.layer(found?.chainId ?? ""), "high");
      assert.equal(await readFile(file, "utf8"), "high");
      const results = again.images.verify(undefined, call());
      const { value } = await results.next();
      assert.deepEqual(value, { images: 1, blobs: 4, layers: 2 });
    });
  }

  test("a layer of sha512 that was damaged is found, and brought again", async () => {
    const { host, layer } = got("sha512 throughout");
    const { images: library, content } = await openLibrary(await fresh());
    await library.pull(`${host}/a/b:1`, call());
    await writeFile(content.pathOf(layer as Digest), "damage");
    const problems: string[] = [];
    for await (const { problem } of library.verify(undefined, call())) problems.push(problem);
    assert.match(problems.join("; "), /^its bytes have the digest sha512:[0-9a-f]{128}$/);
    assert.equal(content.info(namespace, layer as Digest), undefined);
    await library.pull(`${host}/a/b:1`, call());
    assert.ok(existsSync(content.pathOf(layer as Digest)));
  });

  test("a layer of sha512 with other bytes is refused", async () => {
    const { blobs, target, id, layer } = imageOf({ layer: "sha512" });
    blobs.set(layer, Buffer.from(blobs.get(layer) ?? "").fill(7, 20));
    await using registry = await serveImage({ blobs, manifest: target, id, layer });
    const { images: library } = await openLibrary(await fresh());
    await assert.rejects(library.pull(`${registry.host}/a/b:1`, call()), /sha512:/);
  });

  test("an archive with blobs of sha512 is loaded", async () => {
    const { blobs, target, id } = got("sha512 throughout");
    const layout = await fresh();
    for (const [digest, bytes] of blobs) {
      const [algorithm = "", hex = ""] = digest.split(":");
      await mkdir(path.join(layout, "blobs", algorithm), { recursive: true });
      await writeFile(path.join(layout, "blobs", algorithm, hex), bytes);
    }
    await writeFile(path.join(layout, "index.json"), JSON.stringify({ manifests: [target] }));
    const { images: library } = await openLibrary(await fresh());
    const [loaded] = await library.load(layout, { name: "example.test/x:1", ...call() });
    assert.equal(loaded?.id, id);
  });

  const refused: readonly (readonly [what: string, reference: string, says: RegExp])[] = [
    [
      "md5",
      `md5:${"0".repeat(32)}`,
      /bad digest, not a sha256 digest but one of md5, which is not read \(sha384, sha512 are\)$/,
    ],
    ["blake3", `blake3:${"0".repeat(64)}`, /one of blake3, which is not read/],
    ["sha512 that is too short", `sha512:${"0".repeat(64)}`, /bad digest, not a sha256 digest$/],
    ["no algorithm", "0".repeat(64), /bad digest, not a sha256 digest$/],
  ];
  for (const [what, digest, says] of refused) {
    test(`a reference by a digest of ${what} is refused in words`, async () => {
      const { images: library } = await openLibrary(await fresh());
      await assert.rejects(library.pull(`registry.test/a/b@${digest}`, call()), {
        code: "INVALID_ARGUMENT",
        message: says,
      });
    });
  }

  test("a manifest with a layer of another algorithm is refused by its name", async () => {
    const { blobs, id, layer } = imageOf({});
    const bytes = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        config: { mediaType: `${oci}.config.v1+json`, digest: id, size: blobs.get(id)?.length },
        layers: [{ mediaType: `${oci}.layer.v1.tar`, digest: `blake3:${"0".repeat(64)}`, size: 1 }],
      }),
    );
    const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
    blobs.set(digest, bytes);
    const manifest = { mediaType: `${oci}.manifest.v1+json`, digest };
    await using registry = await serveImage({ blobs, manifest, id, layer });
    const { images: library } = await openLibrary(await fresh());
    await assert.rejects(
      library.pull(`${registry.host}/a/b:1`, call()),
      /one of blake3, which is not read/,
    );
  });
});
