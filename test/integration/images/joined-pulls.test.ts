// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Scratch, scratch } from "../../support/scratch.ts";
import {
  digestIn,
  type ScriptedImage,
  scriptedImage,
  serveImage,
} from "../../support/scripted-registry.ts";
import { namespace, openLibrary } from "./library.ts";

// Pulls that want the same at once, or one after the other: none gets another's failure, stall or rights.

const skip = process.getuid?.() === 0 ? false : "needs root";
const call = () => ({ signal: AbortSignal.timeout(240_000) });

let home: Scratch;
let image: ScriptedImage;

before(async () => {
  if (skip) return;
  home = await scratch({ prefix: "joi" });
  image = await scriptedImage(await home.folder("image"), "shared");
});

after(async () => home?.[Symbol.asyncDispose]());

test("a layer that one repository denies comes from another's all the same", { skip }, async () => {
  const { promise: asked, resolve: reached } = Promise.withResolvers<void>();
  const { promise: joined, resolve: join } = Promise.withResolvers<void>();
  await using registry = await serveImage(image, (request, response) => {
    if (request.url?.startsWith("/v2/good/x/manifests/")) join();
    if (digestIn(request) !== image.layer || !request.url?.startsWith("/v2/bad/")) return false;
    reached();
    void joined.then(() => setTimeout(() => response.writeHead(403).end(), 200));
    return true;
  });
  const { images } = await openLibrary(await home.folder("two"));
  const bad = images.pull(`${registry.host}/bad/x`, call());
  const denied = assert.rejects(bad, { code: "PERMISSION_DENIED" });
  await asked;
  assert.equal((await images.pull(`${registry.host}/good/x`, call())).id, image.id);
  await denied;
});

test("what is here of another repository is had by one's own right alone", { skip }, async () => {
  await using registry = await serveImage(image, (request, response) => {
    if (digestIn(request) !== image.layer || !request.url?.startsWith("/v2/bad/")) return false;
    response.writeHead(403).end();
    return true;
  });
  const { images } = await openLibrary(await home.folder("right"));
  const before = registry.heard.length;
  assert.equal((await images.pull(`${registry.host}/good/x`, call())).id, image.id);
  const fresh = registry.heard.length - before;
  assert.equal(fresh, 4, "no question more than HEAD, manifest, config and layer");
  await assert.rejects(images.pull(`${registry.host}/bad/x`, call()), {
    code: "PERMISSION_DENIED",
  });
  assert.equal((await images.pull(`${registry.host}/third/x`, call())).id, image.id);
  const layers = registry.heard.filter((said) => said.includes(`/third/x/blobs/${image.layer}`));
  assert.deepEqual(
    layers.map((said) => said.split(" ")[0]),
    ["HEAD"],
  );
});

test("a pull that hangs holds neither the next one nor a collection", { skip }, async () => {
  const { promise: asked, resolve: reached } = Promise.withResolvers<void>();
  let questions = 0;
  await using registry = await serveImage(image, () => {
    questions += 1;
    reached();
    return questions === 1;
  });
  const { images } = await openLibrary(await home.folder("hang"));
  const abort = new AbortController();
  const hung = images.pull(`${registry.host}/a/b`, { signal: abort.signal });
  await asked;
  assert.equal(await images.collectGarbage(call()), true);
  assert.equal((await images.pull(`${registry.host}/a/b`, call())).id, image.id);
  abort.abort();
  await assert.rejects(hung, { name: "AbortError" });
});

test("a writer of the same layer that stands still is not waited for", { skip }, async () => {
  await using registry = await serveImage(image);
  const { images, content } = await openLibrary(await home.folder("writer"));
  await using _other = await content.writer(namespace, `layer-${image.layer}`, {});
  assert.equal((await images.pull(`${registry.host}/a/b`, call())).id, image.id);
});
