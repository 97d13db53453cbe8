// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Digest } from "../../../src/content/ports.ts";
import { type Scratch, scratch } from "../../support/scratch.ts";
import {
  digestIn,
  type Handler,
  type ScriptedImage,
  type ScriptedRegistry,
  scriptedImage,
  serveImage,
} from "../../support/scripted-registry.ts";
import { until } from "../../support/until.ts";
import { namespace, openLibrary } from "./library.ts";

// A registry of an attacker's knows the digest of a layer that this node has of somebody else's, and its manifest and
// config as well, but not the layer's bytes. It says yes to every question. None of its images gets the layer.

const skip = process.getuid?.() === 0 ? false : "needs root";
const call = () => ({ signal: AbortSignal.timeout(240_000) });
const refused = { code: /^(NOT_FOUND|FAILED_PRECONDITION|UNAVAILABLE)$/ };

let home: Scratch;
let image: ScriptedImage;
let layer: Buffer;

before(async () => {
  if (skip) return;
  home = await scratch({ prefix: "lie" });
  image = await scriptedImage(await home.folder("image"), "private");
  layer = image.blobs.get(image.layer)!;
});

after(async () => home?.[Symbol.asyncDispose]());

const length = () => ({ "content-length": layer.length });

/** What the attacker's registry answers to a GET of the layer; HEAD is always well. */
const lies: Readonly<Record<string, Handler>> = {
  "has not": (_request, response) => void response.writeHead(404).end(),
  "makes up": (_request, response) =>
    void response.writeHead(200, length()).end(Buffer.alloc(layer.length, 1)),
  "breaks off": (_request, response) => {
    response.writeHead(200, length());
    response.write(layer.subarray(0, 1000), () => response.destroy());
  },
  "says is elsewhere": (_request, response) =>
    void response.writeHead(307, { location: "/v2/lost" }).end(),
  "says is empty": (_request, response) => void response.writeHead(200).end(),
  "says is all there": (request, response) => {
    if (request.headers.range !== undefined) return void response.writeHead(416).end();
    response.writeHead(200, length());
    response.write("x", () => response.destroy());
  },
};

const lying = (get: Handler): Promise<ScriptedRegistry> =>
  serveImage(image, (request, response) => {
    if (request.url?.startsWith("/v2/lost")) {
      response.writeHead(404).end();
      return true;
    }
    if (digestIn(request) !== image.layer) return false;
    if (request.method === "HEAD") response.writeHead(200, length()).end();
    else get(request, response);
    return true;
  });

const gets = ({ heard }: ScriptedRegistry): number =>
  heard.filter((said) => said.startsWith("GET") && said.includes(image.layer)).length;

for (const discardUnpackedLayers of [false, true]) {
  const where = discardUnpackedLayers ? ", once its blob is gone" : "";
  const tried = Object.entries(lies).slice(0, discardUnpackedLayers ? 1 : undefined);
  for (const [how, get] of tried) {
    test(`a layer that the registry ${how} comes from no other${where}`, { skip }, async () => {
      await using owner = await serveImage(image);
      await using attacker = await lying(get);
      const folder = await home.folder(`${how} ${discardUnpackedLayers}`);
      const { images, content } = await openLibrary(folder, { config: { discardUnpackedLayers } });
      await images.pull(`${owner.host}/private/x`, call());
      if (discardUnpackedLayers) {
        await until("the layer is gone", async () => {
          await images.collectGarbage(call());
          return content.info(namespace, image.layer as Digest) === undefined;
        });
      }
      const before = images.list();
      await assert.rejects(images.pull(`${attacker.host}/evil/x`, call()), refused);
      assert.deepEqual(images.list(), before);
      const labels = Object.keys(content.info(namespace, image.layer as Digest)?.labels ?? {});
      assert.deepEqual(
        labels.filter((name) => name.endsWith(attacker.host)),
        [],
      );
      await images.pull(`${owner.host}/private/x`, call());
    });
  }
}

test("a registry that sends the layer has it, and is asked no more", { skip }, async () => {
  await using owner = await serveImage(image);
  await using other = await serveImage(image);
  const { images, content } = await openLibrary(await home.folder("proof"));
  await images.pull(`${owner.host}/private/x`, call());
  assert.equal((await images.pull(`${other.host}/copy/x`, call())).id, image.id);
  assert.equal(gets(other), 1);
  const asked = other.heard.length;
  await images.pull(`${other.host}/copy/x`, call());
  assert.equal(other.heard.length, asked + 1, "what the tag means");
  await images.pull(`${other.host}/second/x`, call());
  assert.equal(gets(other), 1, "for its other repositories its word is enough");
  assert.deepEqual(await content.ingests(namespace), []);
});

test("a proof that breaks off goes on where it was", { skip }, async () => {
  await using owner = await serveImage(image);
  let nth = 0;
  await using other = await serveImage(image, (request, response) => {
    if (digestIn(request) !== image.layer || request.method === "HEAD") return false;
    nth += 1;
    if (nth > 1) return false;
    response.writeHead(200, length());
    response.write(layer.subarray(0, layer.length / 2), () => response.destroy());
    return true;
  });
  const { images } = await openLibrary(await home.folder("goes on"));
  await images.pull(`${owner.host}/private/x`, call());
  assert.equal((await images.pull(`${other.host}/copy/x`, call())).id, image.id);
  const ranges = other.heard.filter((said) => said.includes('"range":"bytes='));
  assert.equal(ranges.length, 1);
});

/** Leaves an ingest of the layer with so many bytes, as a pull that was broken off by a kill. */
async function leaveIngest(folder: string, bytes: number, source: string | undefined) {
  const library = await openLibrary(folder);
  await using writer = await library.content.writer(namespace, `layer-${image.layer}`, {
    expected: image.layer as Digest,
    sizeBytes: BigInt(layer.length),
    ...(source !== undefined && { source }),
  });
  await writer.write(layer.subarray(0, bytes), call());
  return library;
}

for (const missing of [0, 1]) {
  for (const [whose, source] of [
    ["another registry", "registry.example.com"],
    ["nobody knows whom", undefined],
  ] as const) {
    test(`all but ${missing} bytes that ${whose} has sent are of no use to a registry`, {
      skip,
    }, async () => {
      await using attacker = await lying((request, response) => {
        const from = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1] ?? 0);
        // It guesses the last byte right.
        const body = Buffer.concat([Buffer.alloc(layer.length - 1), layer.subarray(-1)]);
        const range = `bytes ${from}-${layer.length - 1}/${layer.length}`;
        response.writeHead(from > 0 ? 206 : 200, {
          "content-length": layer.length - from,
          ...(from > 0 && { "content-range": range }),
        });
        response.end(body.subarray(from));
      });
      const folder = await home.folder(`${missing} ${whose}`);
      const { images, content } = await leaveIngest(folder, layer.length - missing, source);
      await assert.rejects(images.pull(`${attacker.host}/evil/x`, call()), refused);
      assert.equal(content.info(namespace, image.layer as Digest), undefined);
    });
  }
}

test("what a registry has sent for another repository is gone on with", { skip }, async () => {
  await using registry = await serveImage(image);
  const left = await leaveIngest(await home.folder("same"), layer.length - 1000, registry.host);
  assert.equal((await left.images.pull(`${registry.host}/a/b`, call())).id, image.id);
  const from = registry.heard.find((said) => said.includes('"range":"bytes='));
  assert.match(from ?? "", new RegExp(`bytes=${layer.length - 1000}-`));
});

test("all bytes of a layer, from a registry that denies it now, are not had", {
  skip,
}, async () => {
  await using registry = await serveImage(image, (request, response) => {
    if (digestIn(request) !== image.layer || !request.url?.startsWith("/v2/bad/")) return false;
    response.writeHead(403).end();
    return true;
  });
  const left = await leaveIngest(await home.folder("denied"), layer.length, registry.host);
  await assert.rejects(left.images.pull(`${registry.host}/bad/x`, call()), {
    code: "PERMISSION_DENIED",
  });
  assert.equal((await left.images.pull(`${registry.host}/good/x`, call())).id, image.id);
  assert.equal(
    registry.heard.filter(
      (said) => said.startsWith("GET /v2/good/x/blobs/sha256:") && said.includes(image.layer),
    ).length,
    0,
  );
});

test("a manifest that is here is no registry's for naming its digest", { skip }, async () => {
  await using owner = await serveImage(image);
  await using attacker = await serveImage(image, (request, response) => {
    if (request.method === "HEAD") return false;
    response.writeHead(404).end();
    return true;
  });
  const { images } = await openLibrary(await home.folder("manifest"));
  await images.pull(`${owner.host}/private/x`, call());
  await assert.rejects(images.pull(`${attacker.host}/evil/x`, call()), { code: "NOT_FOUND" });
  const documents = attacker.heard.filter((said) => said.includes("/manifests/"));
  assert.ok(documents.some((said) => said.startsWith("GET")));
});

const wrongHeads: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "another length": { "content-length": "5" },
  "a digest that nobody has": { "docker-content-digest": `sha256:${"0".repeat(64)}` },
};

for (const [what, headers] of Object.entries(wrongHeads)) {
  test(`a registry whose HEAD says ${what} is asked by GET`, { skip }, async () => {
    await using registry = await serveImage(image, (request, response) => {
      if (request.method !== "HEAD" || digestIn(request) !== undefined) return false;
      const { digest, mediaType } = image.manifest;
      const length = image.blobs.get(digest)!.length;
      const right = { "docker-content-digest": digest, "content-length": length };
      response.writeHead(200, { "content-type": mediaType, ...right, ...headers }).end();
      return true;
    });
    const { images } = await openLibrary(await home.folder(`head ${what}`));
    assert.equal((await images.pull(`${registry.host}/a/b:c`, call())).id, image.id);
  });
}

test("a registry that has said by GET what leads nowhere is not asked that again", {
  skip,
}, async () => {
  await using registry = await serveImage(image, (request, response) => {
    const { digest } = image.manifest;
    if (request.method === "HEAD") response.writeHead(200).end();
    else if (digestIn(request) === undefined || digestIn(request) === digest) return false;
    else response.writeHead(404).end();
    return true;
  });
  const { images } = await openLibrary(await home.folder("by GET"));
  await assert.rejects(images.pull(`${registry.host}/a/b:c`, call()), { code: "NOT_FOUND" });
  const tags = registry.heard.filter((said) => said.includes("/manifests/c"));
  assert.deepEqual(
    tags.map((said) => said.split(" ")[0]),
    ["HEAD", "GET"],
  );
});
