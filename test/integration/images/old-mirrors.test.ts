// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { type Scratch, scratch } from "../../support/scratch.ts";
import {
  digestIn,
  type Handler,
  type ScriptedImage,
  scriptedImage,
  serveImage,
} from "../../support/scripted-registry.ts";
import { openLibrary } from "./library.ts";

// Mirrors that say of a reference what leads nowhere: the next host is asked what it means.

const skip = process.getuid?.() === 0 ? false : "needs root";
const call = () => ({ signal: AbortSignal.timeout(240_000) });

let home: Scratch;
let image: ScriptedImage;
let old: ScriptedImage;

before(async () => {
  if (skip) return;
  home = await scratch({ prefix: "olm" });
  image = await scriptedImage(await home.folder("image"), "new");
  old = await scriptedImage(await home.folder("old"), "old");
});

after(async () => home?.[Symbol.asyncDispose]());

const headSays =
  (headers: () => Record<string, string | number>): Handler =>
  (request, response) => {
    if (request.method !== "HEAD" || !request.url?.includes("/manifests/")) return false;
    response
      .writeHead(200, {
        "content-type": image.manifest.mediaType,
        "content-length": image.blobs.get(image.manifest.digest)!.length,
        "docker-content-digest": image.manifest.digest,
        ...headers(),
      })
      .end();
    return true;
  };
const lacks =
  (isIt: (digest: string | undefined) => boolean): Handler =>
  (request, response) => {
    if (!isIt(digestIn(request))) return false;
    response.writeHead(404).end();
    return true;
  };

interface Row {
  readonly what: string;
  /** The mirror's image, where it is not the same. */
  readonly has?: () => ScriptedImage;
  readonly mirror: Handler;
}

const rows: readonly Row[] = [
  {
    what: "the digest of nothing",
    mirror: headSays(() => ({ "docker-content-digest": `sha256:${"0".repeat(64)}` })),
  },
  { what: "another length", mirror: headSays(() => ({ "content-length": 77 })) },
  {
    what: "an old image whose manifest it lacks",
    has: () => old,
    mirror: (request, response) =>
      request.method === "GET" &&
      lacks((digest) => digest === old.manifest.digest)(request, response),
  },
  {
    what: "an old image whose config it lacks",
    has: () => old,
    mirror: lacks((digest) => digest === old.id),
  },
  {
    what: "an old image whose layer it lacks",
    has: () => old,
    mirror: lacks((digest) => digest === old.layer),
  },
];

async function pull(registry: string, mirror: string, suffix: string): Promise<string> {
  const root = await home.folder(`library ${mirror.split(":")[1]}`);
  const configPath = path.join(root, "certs.d");
  await mkdir(path.join(configPath, "_default"), { recursive: true });
  await writeFile(path.join(configPath, "_default/hosts.toml"), `[host."http://${mirror}"]`);
  const { images } = await openLibrary(path.join(root, "berth"), { registry: { configPath } });
  return (await images.pull(`${registry}/a/b${suffix}`, call())).id;
}

suite("the registry decides where a mirror says", { concurrency: 3, skip }, () => {
  for (const { what, has, mirror: handler } of rows) {
    test(what, async () => {
      await using mirror = await serveImage(has?.() ?? image, handler);
      await using registry = await serveImage(image);
      assert.equal(await pull(registry.host, mirror.host, ":v1"), image.id);
    });
  }

  test("another length of an image that is named by its digest", async () => {
    await using mirror = await serveImage(
      image,
      headSays(() => ({ "content-length": 77 })),
    );
    await using registry = await serveImage(image);
    const pinned = `@${image.manifest.digest}`;
    assert.equal(await pull(registry.host, mirror.host, pinned), image.id);
  });

  test("an old image, and has nothing else to say itself: the first error is told", async () => {
    const handler = lacks((digest) => digest === old.layer);
    await using mirror = await serveImage(old, handler);
    await using registry = await serveImage(old, (_request, response) => {
      response.writeHead(404).end();
      return true;
    });
    await assert.rejects(pull(registry.host, mirror.host, ":v1"), {
      code: "NOT_FOUND",
      message: new RegExp(`from "${registry.host}": not found; from "${mirror.host}": not found$`),
    });
    assert.ok(mirror.heard.length < 12, `${mirror.heard.length} questions`);
  });
});
