// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { FakeRuntime } from "../../test/support/fake-runtime.ts";
import { immutable } from "../../test/support/foreign-tree.ts";
import { containerInit, type FakeServices, fakeServices } from "../../test/support/services.ts";
import { silentLogger } from "../base/logger.ts";
import { removeFolderSync } from "../base/remove-folder.ts";
import { createContentStore } from "../content/content-store.ts";
import { openMemoryMetadata } from "../metadata/mirrored-store.ts";
import { codec, packAny } from "../rpc/codec.ts";
import { inProcessClient } from "../rpc/in-process.ts";
import type { ServiceClient } from "../rpc/service.ts";
import { workHere } from "../trees/run-here.ts";
import { TreeRemover } from "../trees/tree-remover.ts";

const on = { namespace: "ns" };
const skip = process.getuid?.() === 0 ? false : "needs root";

/** A place in the runtime that a call comes to, and waits at until it opens. */
function gate() {
  const reached = Promise.withResolvers<void>();
  const opened = Promise.withResolvers<void>();
  return {
    reached: reached.promise,
    open: opened.resolve,
    pass: (): Promise<void> => {
      reached.resolve();
      return opened.promise;
    },
  };
}

interface Bench extends Disposable {
  /** What a call of that kind waits for before it has any effect. */
  readonly before: { create?: () => Promise<void> };
  readonly fakes: FakeServices;
  readonly folder: string;
  readonly remover: TreeRemover;
  readonly tasks: ServiceClient<"containerd.services.tasks.v1.Tasks">;
  blob(digest: string): Buffer;
}

/** Two containers, of which "c" has a running task. */
async function bench(): Promise<Bench> {
  const folder = mkdtempSync(path.join(os.tmpdir(), "berth cpt-"));
  const content = await createContentStore({
    root: path.join(folder, "content"),
    metadata: openMemoryMetadata(silentLogger),
    log: silentLogger,
  });
  const checkpointDir = path.join(folder, "checkpoints");
  const remover = new TreeRemover({ work: workHere(), log: silentLogger });
  const before: Bench["before"] = {};
  const runtime = new FakeRuntime({
    before: async ({ verb }) => (verb === "create" ? before.create?.() : undefined),
  });
  const fakes = fakeServices({ content, checkpointDir, remover, runtime });
  const containers = inProcessClient(
    "containerd.services.containers.v1.Containers",
    fakes.containers,
  );
  const tasks = inProcessClient("containerd.services.tasks.v1.Tasks", fakes.tasks);
  for (const id of ["c", "copy"]) await containers.Create({ container: containerInit(id) }, on);
  await tasks.Create({ containerId: "c" }, on);
  await tasks.Start({ containerId: "c" }, on);
  return {
    before,
    fakes,
    folder,
    remover,
    tasks,
    blob: (digest) => readFileSync(path.join(folder, "content", "blobs", ...digest.split(":"))),
    [Symbol.dispose]: () => removeFolderSync(folder),
  };
}

test("Tasks: Checkpoint to a path leaves the image there and answers nothing", async () => {
  using b = await bench();
  const imagePath = path.join(b.folder, "image");
  mkdirSync(imagePath);
  const options = packAny("containerd.runc.v1.CheckpointOptions", { imagePath });
  const { descriptors } = await b.tasks.Checkpoint({ containerId: "c", options }, on);
  assert.deepEqual(descriptors, []);
  assert.deepEqual(readdirSync(imagePath), ["core-1.img"]);
});

test("Tasks: a checkpoint becomes blobs, and another container is restored from them", async () => {
  using b = await bench();
  const { descriptors } = await b.tasks.Checkpoint({ containerId: "c" }, on);
  const [image, spec] = descriptors;
  assert.deepEqual(
    descriptors.map(({ mediaType }) => mediaType),
    [
      "application/vnd.containerd.container.criu.checkpoint.criu.tar",
      "application/vnd.containerd.container.checkpoint.config.v1+proto",
    ],
  );
  assert.ok(image && spec);
  const checkpoints = path.join(b.folder, "checkpoints");
  assert.deepEqual(readdirSync(checkpoints), []);
  assert.equal(image.size, BigInt(b.blob(image.digest).length));
  const stored = codec("google.protobuf.Any").decode(b.blob(spec.digest));
  assert.deepEqual(stored, codec("google.protobuf.Any").normalize(containerInit("c").spec ?? {}));

  await b.tasks.Create({ containerId: "copy", checkpoint: image }, on);
  const folder = b.fakes.runtime.lastCreate?.checkpointPath ?? "";
  assert.equal(readFileSync(path.join(folder, "core-1.img"), "utf8"), "image of c");
  await b.tasks.Delete({ containerId: "copy" }, on);
  assert.equal(existsSync(folder), false);
});

test("Tasks: a restored checkpoint goes, whatever is in it, and so does what a dead daemon left", {
  skip,
}, async () => {
  using b = await bench();
  const [image] = (await b.tasks.Checkpoint({ containerId: "c" }, on)).descriptors;
  const checkpoints = path.join(b.folder, "checkpoints");
  const folder = path.join(checkpoints, "restore/ns/copy");
  mkdirSync(path.join(folder, "left"), { recursive: true });
  writeFileSync(path.join(folder, "left/old.img"), "x");
  immutable(path.join(folder, "left/old.img"));
  await b.tasks.Create({ containerId: "copy", ...(image && { checkpoint: image }) }, on);
  assert.deepEqual(readdirSync(folder), ["core-1.img"]);
  immutable(path.join(folder, "core-1.img"));
  await b.tasks.Delete({ containerId: "copy" }, on);
  await b.remover.settled(checkpoints, { signal: new AbortController().signal });
  assert.deepEqual(readdirSync(checkpoints), ["restore"]);
  assert.deepEqual(readdirSync(path.dirname(folder)), []);
});

test("Tasks: a second Create, and a Delete that ends late, leave the folder of the Create that runs", async () => {
  using b = await bench();
  const [image] = (await b.tasks.Checkpoint({ containerId: "c" }, on)).descriptors;
  const folder = path.join(b.folder, "checkpoints/restore/ns/copy");
  const create = (): Promise<unknown> =>
    b.tasks.Create({ containerId: "copy", ...(image && { checkpoint: image }) }, on);
  const restored = (): string[] => readdirSync(folder);

  const atCreate = gate();
  b.before.create = atCreate.pass;
  const first = create();
  await atCreate.reached;
  await assert.rejects(create(), {
    code: "ALREADY_EXISTS",
    message: /^task "copy" already exists$/,
  });
  assert.deepEqual(restored(), ["core-1.img"]);
  atCreate.open();
  await first;
  assert.deepEqual(restored(), ["core-1.img"]);

  // The name is free as soon as the task is gone, before Delete has come to its folder.
  const atNext = gate();
  b.before.create = atNext.pass;
  let next: Promise<unknown> | undefined;
  const task = b.fakes.runtime.get("ns", "copy");
  assert.ok(task);
  const remove = task.delete.bind(task);
  task.delete = async (...asked) => {
    const exit = await remove(...asked);
    next = create();
    await atNext.reached;
    return exit;
  };
  await b.tasks.Delete({ containerId: "copy" }, on);
  assert.deepEqual(restored(), ["core-1.img"]);
  atNext.open();
  await next;
  assert.deepEqual(restored(), ["core-1.img"]);
});

test("Tasks: Create refuses a checkpoint that is none", async () => {
  using b = await bench();
  const [image, spec] = (await b.tasks.Checkpoint({ containerId: "c" }, on)).descriptors;
  const create = (checkpoint: object): Promise<unknown> =>
    b.tasks.Create({ containerId: "copy", checkpoint }, on);
  await assert.rejects(create({ ...spec }), { code: "INVALID_ARGUMENT" });
  const digest = `sha256:${"0".repeat(64)}`;
  await assert.rejects(create({ ...image, digest }), { code: "NOT_FOUND" });
  await assert.rejects(create({ ...image, digest: "../../etc" }), { code: "INVALID_ARGUMENT" });
  assert.equal(b.fakes.runtime.get("ns", "copy"), undefined);
});
