// SPDX-License-Identifier: Apache-2.0
// A pull while the database of this node fails, with the code that a registry has which cannot be reached.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { fault } from "../../../src/base/errors.ts";
import { silentLogger } from "../../../src/base/logger.ts";
import { isRegistryUnavailable } from "../../../src/images/registry/registry-fault.ts";
import { MirroredStore } from "../../../src/metadata/mirrored-store.ts";
import { type Scratch, scratch } from "../../support/scratch.ts";
import { digestIn, scriptedImage, serveImage } from "../../support/scripted-registry.ts";
import { openLibrary } from "./library.ts";

const skip = process.getuid?.() === 0 ? false : "needs root";
let home: Scratch;
before(async () => {
  home = await scratch({ prefix: "fdb" });
});
after(async () => home?.[Symbol.asyncDispose]());

test("is told as what it is, and blames no registry", { skip }, async () => {
  const image = await scriptedImage(await home.folder("image"), "database");
  let layers = 0;
  let isBroken = false;
  await using registry = await serveImage(image, (request) => {
    if (request.method === "GET" && digestIn(request) === image.layer) {
      layers += 1;
      isBroken = true;
    }
    return false;
  });
  const why = "cannot write the database: the disk failed";
  const write = async (): Promise<void> => {
    if (isBroken) throw fault("UNAVAILABLE", why);
  };
  const metadata = new MirroredStore([], { write, close: async () => {} }, silentLogger);
  const { images } = await openLibrary(await home.folder("library"), { metadata });
  const pull = images.pull(`${registry.host}/app:1`, { signal: AbortSignal.timeout(240_000) });
  await assert.rejects(pull, (error) => {
    assert.ok(!isRegistryUnavailable(error), "a kubelet would blame the registry");
    assert.ok(error instanceof Error && error.message.endsWith(`app:1": ${why}`), String(error));
    return true;
  });
  assert.equal(layers, 1, "another attempt does not help");
});

test("a registry that breaks off is told as such", { skip }, async () => {
  const image = await scriptedImage(await home.folder("broken image"), "broken");
  await using registry = await serveImage(image, (request, response) => {
    if (digestIn(request) !== image.layer) return false;
    response.writeHead(503).end();
    return true;
  });
  const { images } = await openLibrary(await home.folder("other library"));
  const pull = images.pull(`${registry.host}/app:1`, { signal: AbortSignal.timeout(240_000) });
  await assert.rejects(pull, (error) => isRegistryUnavailable(error));
});
