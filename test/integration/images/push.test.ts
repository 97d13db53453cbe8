// SPDX-License-Identifier: Apache-2.0
// Pushes to Debian's docker-registry and, for what that does not do, to one in the test itself.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { rm, truncate } from "node:fs/promises";
import { after, before, suite, test } from "node:test";
import type { PushOptions, TransferStep } from "../../../src/images/ports.ts";
import { lacking } from "../../support/lacking.ts";
import { type Registry, startRegistry } from "../../support/registry.ts";
import { type Scratch, scratch } from "../../support/scratch.ts";
import { type ScriptedImage, scriptedImage } from "../../support/scripted-registry.ts";
import { type Library, namespace, openLibrary } from "./library.ts";

const call = (): { signal: AbortSignal } => ({ signal: AbortSignal.timeout(240_000) });

suite("push", { skip: lacking("docker-registry") }, () => {
  let home: Scratch;
  let registry: Registry;
  let image: ScriptedImage;
  let library: Library;
  /** Names that events have told of. */
  const shown = new Set<string>();
  before(async () => {
    home = await scratch({ prefix: "push" });
    registry = await startRegistry(await home.folder("registry"));
    image = await scriptedImage(await home.folder("layout"), "pushed");
    library = await openLibrary(await home.folder("library"), {
      onTransfer: ({ image: name }) => shown.add(name),
    });
    await library.images.load(await home.folder("layout"), {
      ...call(),
      name: "example.com/a/b:1",
    });
  });
  after(async () => {
    await registry?.[Symbol.asyncDispose]();
    await home?.[Symbol.asyncDispose]();
  });

  const push = async (
    destination: string,
    options: Partial<PushOptions> = {},
  ): Promise<{ readonly digest: string; readonly ends: Record<string, string> }> => {
    const last = new Map<string, TransferStep>();
    const { digest } = await library.images.push("example.com/a/b:1", {
      destination: `${registry.host}/${destination}`,
      onStep: (step) => last.set(step.digest, step),
      ...call(),
      ...options,
    });
    for (const { doneBytes, totalBytes } of last.values()) assert.equal(doneBytes, totalBytes);
    const ends = [...last.values()].map(({ digest: of, state }) => [of, state]);
    return { digest, ends: Object.fromEntries(ends) as Record<string, string> };
  };

  test("what was pushed can be pulled, byte for byte", async () => {
    const { digest, ends } = await push("first/one:1");
    assert.equal(digest, image.manifest.digest);
    assert.deepEqual(ends, {
      [image.id]: "done",
      [image.layer]: "done",
      [image.manifest.digest]: "done",
    });
    const other = await openLibrary(await home.folder("other"));
    const pulled = await other.images.pull(`${registry.host}/first/one:1`, call());
    assert.equal(pulled.id, image.id);
    for (const blob of image.blobs.keys()) {
      if (blob === image.id || blob === image.layer) {
        assert.ok(other.content.info(namespace, blob as never), blob);
      }
    }
  });

  test("what is there is not sent again, and another repository's layers are mounted", async () => {
    await push("second/one:1");
    assert.deepEqual(Object.values((await push("second/one:1")).ends), [
      "exists",
      "exists",
      "exists",
    ]);
    const another = await push("second/one:2");
    assert.equal(another.ends[image.layer], "exists");
    assert.equal(another.ends[image.manifest.digest], "done");
    // Once it has come from the registry, its blobs are known to be in a repository there.
    await library.images.pull(`${registry.host}/second/one:1`, call());
    const mounted = await push("third/one:1");
    assert.equal(mounted.ends[image.layer], "mounted");
    const posts = (await registry.log()).split("\n").filter((line) => line.includes("third/one"));
    assert.ok(
      !posts.some(
        (line) => line.includes('"http.request.method":"PUT"') && line.includes("uploads"),
      ),
    );
  });

  test("a digest is pushed to under that digest alone", async () => {
    await push(`digests/one@${image.manifest.digest}`);
    const other = `sha256:${createHash("sha256").update("x").digest("hex")}`;
    await assert.rejects(push(`digests/one@${other}`), {
      code: "FAILED_PRECONDITION",
      message: new RegExp(`what would be pushed is "${image.manifest.digest}"`),
    });
  });

  test("a blob whose file is gone, or is shorter, is told", async () => {
    const damaged = await openLibrary(await home.folder("damaged"));
    await damaged.images.load(await home.folder("layout"), {
      ...call(),
      name: "example.com/a/b:1",
    });
    const file = damaged.content.pathOf(image.layer as never);
    const destination = `${registry.host}/damaged/one:1`;
    for (const harm of [() => truncate(file, 1000), () => rm(file)]) {
      await harm();
      await assert.rejects(damaged.images.push("example.com/a/b:1", { ...call(), destination }), {
        code: "DATA_LOSS",
        message: /^blob "sha256:\S+" cannot be read on this node: "berth image verify" drops it/,
      });
    }
  });

  test("what cannot be pushed is told", async () => {
    const refuse = (reference: string, options: Partial<PushOptions>, expected: object) =>
      assert.rejects(library.images.push(reference, { ...call(), ...options }), expected);
    await refuse("no/such:1", {}, { code: "NOT_FOUND", message: 'image "no/such:1" not found' });
    await refuse(image.id, {}, { code: "INVALID_ARGUMENT", message: /give one, too/ });
    await refuse(
      "example.com/a/b:1",
      { destination: "example.com/UPPER" },
      { code: "INVALID_ARGUMENT" },
    );
    assert.equal(shown.has("example.com/UPPER"), false);
    await refuse("example.com/a/b:1", { platform: "linux" }, { message: /bad platform "linux"/ });
    await refuse(
      "example.com/a/b:1",
      { platform: "linux/amd64", allPlatforms: true },
      { message: "either one platform is pushed, or all" },
    );
  });
});
