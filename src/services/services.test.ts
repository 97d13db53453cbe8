// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdtempSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { makeStores } from "../../test/support/stores.ts";
import { RuntimeFault } from "../base/errors.ts";
import { removeFolderSync } from "../base/remove-folder.ts";
import { digestOf } from "../content/digest.ts";
import { Exchange } from "../events/exchange.ts";
import type { ContentWriteContentRequestInit } from "../gen/content.gen.ts";
import { inProcessClient } from "../rpc/in-process.ts";
import { createContentService } from "./content-service.ts";
import { createImagesService } from "./images-service.ts";
import { createLeasesService } from "./leases-service.ts";
import { createSnapshotsService } from "./snapshots-service.ts";

const on = { namespace: "ns" };
const data = Buffer.from("some bytes");
const digest = digestOf(data);

async function bench() {
  const folder = mkdtempSync(path.join(os.tmpdir(), "berth services-"));
  const stores = await makeStores(folder);
  const events = new Exchange();
  const changed: string[] = [];
  const ports = {
    ...stores,
    events,
    onChange: async (namespace: string) => void changed.push(namespace),
  };
  const heard = events.subscribe([]);
  return {
    changed,
    topics: async () => {
      heard[Symbol.dispose]();
      const seen: string[] = [];
      for await (const { topic } of heard.read()) seen.push(topic);
      return seen;
    },
    content: inProcessClient("containerd.services.content.v1.Content", createContentService(ports)),
    images: inProcessClient("containerd.services.images.v1.Images", createImagesService(ports)),
    leases: inProcessClient("containerd.services.leases.v1.Leases", createLeasesService(ports)),
    snapshots: inProcessClient(
      "containerd.services.snapshots.v1.Snapshots",
      createSnapshotsService(ports),
    ),
    [Symbol.asyncDispose]: async () => {
      await stores.garbage[Symbol.asyncDispose]();
      removeFolderSync(folder);
    },
  };
}

type Bench = Awaited<ReturnType<typeof bench>>;

async function* stream(
  messages: readonly ContentWriteContentRequestInit[],
): AsyncGenerator<ContentWriteContentRequestInit> {
  yield* messages;
}

async function write(
  { content }: Bench,
  messages: readonly ContentWriteContentRequestInit[],
  headers: Readonly<Record<string, string>> = {},
): Promise<{ offset: bigint; digest: string; action: string }[]> {
  const answers = [];
  const options = { ...on, headers };
  for await (const { offset, digest, action } of content.Write(stream(messages), options)) {
    answers.push({ offset, digest, action });
  }
  return answers;
}

const commit = { action: "COMMIT", ref: "r", data, expected: digest } as const;

test("Content.Write: STAT, WRITE and COMMIT tell where the ingest stands", async () => {
  await using b = await bench();
  const answers = await write(b, [
    { action: "STAT", ref: "r", total: 10n, expected: digest },
    { action: "WRITE", data: data.subarray(0, 4) },
    { action: "WRITE", data: data.subarray(4), offset: 4n },
    { action: "COMMIT", offset: 10n, total: 10n, expected: digest, labels: { a: "b" } },
  ]);
  assert.deepEqual(
    answers.map(({ action, offset }) => [action, offset]),
    [
      ["STAT", 0n],
      ["WRITE", 4n],
      ["WRITE", 10n],
      ["COMMIT", 10n],
    ],
  );
  assert.equal(answers.at(-1)?.digest, digest);
  const { info } = await b.content.Info({ digest }, on);
  assert.deepEqual([info?.size, info?.labels], [10n, { a: "b" }]);
  assert.deepEqual((await b.content.ListStatuses({}, on)).statuses, []);
});

test("Content.Write: what is not committed stays, is told of, resumed and aborted", async () => {
  await using b = await bench();
  await write(b, [{ action: "WRITE", ref: "r", total: 10n, data: data.subarray(0, 4) }]);
  const { status } = await b.content.Status({ ref: "r" }, on);
  assert.deepEqual([status?.offset, status?.total], [4n, 10n]);
  const [stat] = await write(b, [{ action: "STAT", ref: "r" }]);
  assert.deepEqual([stat?.offset, stat?.digest], [4n, digestOf(data.subarray(0, 4))]);
  await write(b, [{ ...commit, offset: 0n }]); // from 0 again: what was there goes
  assert.equal((await b.content.Info({ digest }, on)).info?.size, 10n);
  await write(b, [{ action: "WRITE", ref: "other", data }]);
  await b.content.Abort({ ref: "other" }, on);
  await assert.rejects(b.content.Status({ ref: "other" }, on), { code: "NOT_FOUND" });
  await assert.rejects(b.content.Abort({ ref: "other" }, on), { code: "NOT_FOUND" });
});

/** A writer that has begun, and goes on when it is told. */
async function begun({ content }: Bench) {
  const { promise: told, resolve: goOn } = Promise.withResolvers<void>();
  async function* messages(): AsyncGenerator<ContentWriteContentRequestInit> {
    yield { action: "WRITE", ref: "r", data: data.subarray(0, 4) };
    await told;
    yield { ...commit, data: data.subarray(4), offset: 4n };
  }
  const answers = content.Write(messages(), on)[Symbol.asyncIterator]();
  await answers.next();
  return async () => {
    goOn();
    await answers.next();
    await answers.next();
  };
}

test("Content.Write: a second writer of a ref waits for the first, and finds what it has committed", async () => {
  await using b = await bench();
  const end = await begun(b);
  const second = write(b, [commit]).catch((error: unknown) => error);
  await new Promise((resolve) => setTimeout(resolve, 50));
  await end();
  const found = await second;
  assert.ok(found instanceof RuntimeFault, "the second has written, too");
  assert.equal(found.code, "ALREADY_EXISTS");
});

test("Content.Write: a second writer waits for a first that stands still for a while only", async () => {
  await using b = await bench();
  const end = await begun(b);
  await assert.rejects(write(b, [commit]), {
    code: "UNAVAILABLE",
    message: "ref r locked: unavailable",
  });
  await end();
});

const wrongWrites: { name: string; messages: ContentWriteContentRequestInit[]; code: string }[] = [
  { name: "no ref", messages: [{ action: "STAT" }], code: "INVALID_ARGUMENT" },
  {
    name: "a gap",
    messages: [{ action: "WRITE", ref: "r", offset: 3n, data }],
    code: "OUT_OF_RANGE",
  },
  {
    name: "more than announced",
    messages: [{ action: "WRITE", ref: "r", total: 3n, data }],
    code: "FAILED_PRECONDITION",
  },
  {
    name: "less than announced",
    messages: [{ ...commit, total: 30n }],
    code: "FAILED_PRECONDITION",
  },
  {
    name: "another digest",
    messages: [{ ...commit, expected: digestOf("other") }],
    code: "FAILED_PRECONDITION",
  },
  {
    name: "another ref midway",
    messages: [
      { action: "STAT", ref: "r" },
      { action: "WRITE", ref: "s", data },
    ],
    code: "INVALID_ARGUMENT",
  },
  { name: "no digest", messages: [{ ...commit, expected: "md5:1" }], code: "INVALID_ARGUMENT" },
];
for (const { name, messages, code } of wrongWrites) {
  test(`Content.Write: ${name} is ${code}`, async () => {
    await using b = await bench();
    await assert.rejects(write(b, messages), { code });
  });
}

test("Content.Write: what is there is ALREADY_EXISTS, and a held ref UNAVAILABLE", async () => {
  await using b = await bench();
  await write(b, [commit]);
  const known = { action: "STAT", ref: "r2", expected: digest } as const;
  await assert.rejects(write(b, [known]), { code: "ALREADY_EXISTS" });
  const unannounced = { action: "COMMIT", ref: "r3", data } as const;
  await assert.rejects(write(b, [unannounced]), { code: "ALREADY_EXISTS" });
  assert.deepEqual((await b.content.ListStatuses({}, on)).statuses, []);
  const { promise: end, resolve } = Promise.withResolvers<void>();
  async function* held(): AsyncGenerator<ContentWriteContentRequestInit> {
    yield { action: "STAT", ref: "r4" };
    await end;
  }
  const first = b.content.Write(held(), on)[Symbol.asyncIterator]();
  await first.next();
  await assert.rejects(write(b, [{ action: "STAT", ref: "r4" }]), { code: "UNAVAILABLE" });
  resolve();
  await first.next();
  await write(b, [{ action: "STAT", ref: "r4" }]);
});

test("Content.Abort takes the ingest from its writer, whose next message fails", async () => {
  await using b = await bench();
  const { promise: aborted, resolve } = Promise.withResolvers<void>();
  async function* slow(): AsyncGenerator<ContentWriteContentRequestInit> {
    yield { action: "WRITE", ref: "r", data };
    await aborted;
    yield { action: "WRITE", data, offset: 10n };
  }
  const writing = b.content.Write(slow(), on)[Symbol.asyncIterator]();
  await writing.next();
  await b.content.Abort({ ref: "r" }, on);
  resolve();
  await assert.rejects(writing.next(), { code: "FAILED_PRECONDITION" });
  const [stat] = await write(b, [{ action: "STAT", ref: "r" }]);
  assert.equal(stat?.offset, 0n);
});

test("Content: Read gives ranges, Update one label, List what its filter names", async () => {
  await using b = await bench();
  await write(b, [{ ...commit, labels: { one: "1", "x.y/z": "2" } }]);
  const read = async (offset: bigint, size: bigint): Promise<string> => {
    const parts: Buffer[] = [];
    for await (const part of b.content.Read({ digest, offset, size }, on)) parts.push(part.data);
    return Buffer.concat(parts).toString();
  };
  assert.equal(await read(0n, 0n), "some bytes");
  assert.equal(await read(5n, 3n), "byt");
  assert.equal(await read(10n, 0n), "");
  assert.equal(await read(5n, 99n), "bytes");
  await assert.rejects(read(11n, 0n), { code: "OUT_OF_RANGE" });
  const update = async (labels: Record<string, string>, paths: string[]): Promise<unknown> =>
    (await b.content.Update({ info: { digest, labels }, updateMask: { paths } }, on)).info?.labels;
  assert.deepEqual(await update({ "x.y/z": "3" }, ["labels.x.y/z"]), { one: "1", "x.y/z": "3" });
  assert.deepEqual(await update({ one: "" }, ["labels.one"]), { "x.y/z": "3" });
  await assert.rejects(update({}, ["size"]), { code: "INVALID_ARGUMENT" });
  const list = async (...filters: string[]): Promise<string[]> => {
    const found: string[] = [];
    for await (const { info } of b.content.List({ filters }, on)) {
      found.push(...info.map((one) => one.digest));
    }
    return found;
  };
  assert.deepEqual(await list('labels."x.y/z"==3'), [digest]);
  assert.deepEqual(await list("size==11"), []);
  await b.content.Delete({ digest }, on);
  await assert.rejects(b.content.Delete({ digest }, on), { code: "NOT_FOUND" });
  assert.deepEqual(await b.topics(), ["/content/create", "/content/delete"]);
});

test("what is made under a lease is held by it, also what was there", async () => {
  await using b = await bench();
  await b.leases.Create({ id: "l", labels: { a: "b" } }, on);
  await assert.rejects(b.leases.Create({ id: "l" }, on), { code: "ALREADY_EXISTS" });
  const under = { "containerd-lease": "l" };
  await write(b, [commit]);
  await assert.rejects(write(b, [{ ...commit, ref: "again" }], under), { code: "ALREADY_EXISTS" });
  const lease = { ...on, headers: under };
  await b.snapshots.Prepare({ snapshotter: "native", key: "k" }, lease);
  await b.snapshots.Commit({ snapshotter: "native", key: "k", name: "n" }, lease);
  const { resources } = await b.leases.ListResources({ id: "l" }, on);
  const held = resources.map(({ type, id }) => `${type} ${id}`);
  assert.ok(held.includes(`content ${digest}`));
  assert.ok(held.includes("snapshots/native n"));
  const wrong = { ...on, headers: { "containerd-lease": "none" } };
  await assert.rejects(b.snapshots.Prepare({ snapshotter: "native", key: "k" }, wrong), {
    code: "NOT_FOUND",
  });
  assert.deepEqual(
    (await b.leases.List({ filters: ["labels.a==b"] }, on)).leases.map(({ id }) => id),
    ["l"],
  );
  await write(b, [{ action: "COMMIT", ref: "found", data: Buffer.from("found") }]);
  await b.content.Info({ digest: digestOf("found") }, lease);
  await b.images.Create({ image: { name: "i", target: { mediaType: "m", digest, size: 1n } } }, on);
  await b.images.Delete({ name: "i", sync: true }, on);
  await b.content.Info({ digest: digestOf("found") }, on);
  assert.equal((await b.content.Info({ digest }, wrong)).info?.digest, digest);
  await b.content.Delete({ digest: digestOf("found") }, lease);
  const left = (await b.leases.ListResources({ id: "l" }, on)).resources;
  assert.ok(!left.some(({ id }) => id === digestOf("found")));
  await b.leases.Delete({ id: "l", sync: true }, on);
  await assert.rejects(b.content.Info({ digest }, on), { code: "NOT_FOUND" });
  await assert.rejects(b.snapshots.Stat({ snapshotter: "native", key: "n" }, on), {
    code: "NOT_FOUND",
  });
});

const wrongResources: { type: string; id: string; code: string }[] = [
  { type: "content", id: "no digest", code: "INVALID_ARGUMENT" },
  { type: "content", id: "", code: "INVALID_ARGUMENT" },
  { type: "planets", id: "x", code: "UNIMPLEMENTED" },
];
for (const { type, id, code } of wrongResources) {
  test(`Leases: a resource "${type}" "${id}" is ${code}`, async () => {
    await using b = await bench();
    await b.leases.Create({ id: "l" }, on);
    await assert.rejects(b.leases.AddResource({ id: "l", resource: { type, id } }, on), { code });
  });
}

test("Snapshots: a target that is there spares the work; kinds and filters are containerd's", async () => {
  await using b = await bench();
  const snapshotter = "native";
  await b.snapshots.Prepare({ snapshotter, key: "k", labels: { a: "b" } }, on);
  await b.snapshots.Commit({ snapshotter, key: "k", name: "base" }, on);
  const labels = { "containerd.io/snapshot.ref": "base" };
  await assert.rejects(b.snapshots.Prepare({ snapshotter, key: "x", labels }, on), {
    code: "ALREADY_EXISTS",
  });
  await b.snapshots.View({ snapshotter, key: "v", parent: "base" }, on);
  const list = async (...filters: string[]): Promise<string[]> => {
    const found: string[] = [];
    for await (const { info } of b.snapshots.List({ snapshotter, filters }, on)) {
      found.push(...info.map(({ name, kind }) => `${name} ${kind}`));
    }
    return found;
  };
  assert.deepEqual(await list(), ["base COMMITTED", "v VIEW"]);
  assert.deepEqual(await list("kind==view"), ["v VIEW"]);
  assert.deepEqual(await list("parent==base"), ["v VIEW"]);
  await assert.rejects(b.snapshots.Stat({ snapshotter: "zfs", key: "k" }, on), {
    code: "INVALID_ARGUMENT",
  });
  await b.snapshots.Remove({ snapshotter, key: "v" }, on);
  await b.snapshots.Cleanup({ snapshotter }, on);
  assert.deepEqual(await b.topics(), ["/snapshot/prepare", "/snapshot/commit", "/snapshot/remove"]);
});

test("Images: create, update by mask, list by filter, delete with a target", async () => {
  await using b = await bench();
  const target = { mediaType: "m", digest, size: 10n };
  await b.images.Create({ image: { name: "i", labels: { a: "1" }, target } }, on);
  await assert.rejects(b.images.Create({ image: { name: "i", target } }, on), {
    code: "ALREADY_EXISTS",
  });
  await assert.rejects(b.images.Get({ name: "i" }, { namespace: "other" }), { code: "NOT_FOUND" });
  const other = { ...target, digest: digestOf("other") };
  const { image } = await b.images.Update(
    {
      image: { name: "i", labels: { b: "2" }, target: other },
      updateMask: { paths: ["labels.b"] },
    },
    on,
  );
  assert.deepEqual([image?.labels, image?.target?.digest], [{ a: "1", b: "2" }, digest]);
  const list = async (...filters: string[]): Promise<number> =>
    (await b.images.List({ filters }, on)).images.length;
  assert.equal(await list("name~=^i"), 1);
  assert.equal(await list(`target.digest==${digest}`, "name==none"), 1);
  assert.equal(await list("target.mediatype==other"), 0);
  await assert.rejects(b.images.Delete({ name: "i", target: other }, on), { code: "NOT_FOUND" });
  await b.images.Delete({ name: "i", target, sync: true }, on);
  await assert.rejects(b.images.Delete({ name: "i" }, on), { code: "NOT_FOUND" });
  assert.deepEqual(b.changed, ["ns", "ns", "ns"]);
  assert.deepEqual(await b.topics(), ["/images/create", "/images/update", "/images/delete"]);
});

const wrongImages = [
  { name: "no name", image: { target: { mediaType: "m", digest, size: 1n } } },
  { name: "no target", image: { name: "i" } },
  { name: "no digest", image: { name: "i", target: { mediaType: "m", digest: "x", size: 1n } } },
  { name: "no size", image: { name: "i", target: { mediaType: "m", digest } } },
  { name: "no media type", image: { name: "i", target: { digest, size: 1n } } },
];
for (const { name, image } of wrongImages) {
  test(`Images: one with ${name} is refused`, async () => {
    await using b = await bench();
    await assert.rejects(b.images.Create({ image }, on), { code: "INVALID_ARGUMENT" });
  });
}
