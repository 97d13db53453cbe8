// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { after, before, test } from "node:test";
import { cleanupDeadline } from "../../../src/base/cancellable.ts";
import { nowNanos } from "../../../src/base/now.ts";
import { digestOf } from "../../../src/content/digest.ts";
import type { Digest } from "../../../src/content/ports.ts";
import type { Descriptor } from "../../../src/images/manifest/documents.ts";
import { writeOciLayout } from "../../support/oci-image.ts";
import { type Scratch, scratch } from "../../support/scratch.ts";
import { until } from "../../support/until.ts";
import { allRead, type Library, namespace, openLibrary } from "./library.ts";

const call = () => ({ signal: AbortSignal.timeout(240_000) });
const name = "docker.io/built/here:1";

let home: Scratch;
let layout: string;
let id: string;
let target: Descriptor;

before(async () => {
  home = await scratch({ prefix: "brought-in" });
  layout = await home.folder("layout");
  id = await writeOciLayout(layout, "1", {
    config: { Cmd: ["sh"] },
    layers: [[{ path: "hello", content: "hello" }], [{ path: "more", content: "more" }]],
  });
  const index = JSON.parse(await readFile(path.join(layout, "index.json"), "utf8")) as {
    manifests: { mediaType: string; digest: Digest; size: number }[];
  };
  const { mediaType, digest, size } = index.manifests[0]!;
  target = { mediaType, digest, size, annotations: {} };
});

after(async () => home?.[Symbol.asyncDispose]());

/** What an image builder and `ctr images import --no-unpack` do: blobs and a name, no snapshots. */
async function bringIn(
  { content, images }: Library,
  labels: Readonly<Record<string, string>> = {},
  leaveOut = (_bytes: Buffer): boolean => false,
): Promise<void> {
  const blobs = path.join(layout, "blobs", "sha256");
  for (const hex of await readdir(blobs)) {
    const bytes = await readFile(path.join(blobs, hex));
    if (leaveOut(bytes)) continue;
    await using writer = await content.writer(namespace, `test-${hex}`, {});
    await writer.write(bytes, call());
    await writer.commit({ expected: `sha256:${hex}` as Digest });
  }
  const now = nowNanos();
  await images.records.put({ name, target, labels, createdAtNanos: now, updatedAtNanos: now });
  await images.refreshAll(call());
}

test("an image that a client did not unpack is listed, and unpacked for its first use", async () => {
  const library = await openLibrary(await home.folder("not unpacked"));
  const { images, snapshotter, layer } = library;
  await bringIn(library);
  const image = images.find(name);
  assert.ok(image);
  assert.equal(image.id, id);
  assert.deepEqual(snapshotter.list(namespace), []);
  await Promise.all([images.unpack(image, call()), images.unpack(image, call())]);
  assert.equal(await readFile(path.join(layer(image.chainId), "more"), "utf8"), "more");
  assert.equal(snapshotter.list(namespace).length, 2);
  await images.unpack(image, call());
  await images.collectGarbage({ signal: cleanupDeadline() });
  assert.equal(snapshotter.list(namespace).length, 2);
});

test("an image that lacks a layer is not listed before the layer is there", async () => {
  const library = await openLibrary(await home.folder("incomplete"));
  await bringIn(library, {}, (bytes) => bytes[0] === 0x1f);
  assert.equal(library.images.find(name), undefined);
  await bringIn(library);
  assert.equal(library.images.find(name)?.id, id);
});

test("an image is pinned by containerd's label on any of its names", async () => {
  const library = await openLibrary(await home.folder("pinned"));
  const { images } = library;
  await bringIn(library);
  assert.equal(images.find(name)?.pinned, false);
  const record = images.records.get(name);
  assert.ok(record);
  const labels = { "io.cri-containerd.pinned": "pinned" };
  await images.records.put({ ...record, name: "docker.io/built/here:2", labels });
  await images.refreshAll(call());
  assert.equal(images.find(name)?.pinned, true);
});

const managed = { "io.cri-containerd.image": "managed" };

/** Names and labels of all records. */
const recordsOf = ({ images }: Library): Record<string, unknown> =>
  Object.fromEntries(images.records.list().map((record) => [record.name, record.labels]));

test("an image of a client becomes CRI's: named by its id too, labelled, and told", async () => {
  const told: string[] = [];
  const library = await openLibrary(await home.folder("managed"), {
    onNameChange: (change) => told.push(`${change.kind} ${change.name}`),
  });
  const { images, content } = library;
  await bringIn(library, { mine: "kept" });
  assert.deepEqual(recordsOf(library), { [name]: { mine: "kept", ...managed }, [id]: managed });
  assert.deepEqual(told.splice(0), [`create ${id}`, `update ${name}`]);
  assert.deepEqual(images.records.get(id)?.target, target);
  await images.refreshAll(call());
  assert.deepEqual(told, []);
  // As in containerd: a client takes one name after the other, and the image goes with the last.
  await images.records.remove([name], call());
  await images.refreshAll(call());
  assert.equal(images.find(name), undefined);
  assert.deepEqual(images.find(id)?.repoTags, []);
  await images.records.remove([id], call());
  await images.refreshAll(call());
  assert.deepEqual(images.list(), []);
  await images.collectGarbage({ signal: cleanupDeadline() });
  assert.deepEqual(content.list(namespace), []);
});

test("RemoveImage takes the name by the id with the client's", async () => {
  const library = await openLibrary(await home.folder("removed"));
  await bringIn(library);
  await library.images.remove(name, call());
  assert.deepEqual(recordsOf(library), {});
  assert.deepEqual(library.content.list(namespace), []);
});

test("what a client does to the names of an image that is CRI's", async (t) => {
  const other = "docker.io/built/here:2";
  const put = (library: Library, changed: string, labels: Readonly<Record<string, string>>) =>
    library.images.records.put({
      name: changed,
      target,
      labels,
      createdAtNanos: 1n,
      updatedAtNanos: 1n,
    });
  const cases: {
    what: string;
    change: (library: Library) => Promise<unknown>;
    expected: Record<string, unknown>;
  }[] = [
    {
      what: "another name is CRI's as well",
      change: (library) => put(library, other, { a: "b" }),
      expected: { [name]: managed, [id]: managed, [other]: { a: "b", ...managed } },
    },
    {
      what: "labels that are replaced get the one label again",
      change: (library) => put(library, name, { a: "b" }),
      expected: { [name]: { a: "b", ...managed }, [id]: managed },
    },
    {
      what: "the name by the id stays away when it is removed alone",
      change: ({ images }) => images.records.remove([id], call()),
      expected: { [name]: managed },
    },
    {
      what: "a name by the id that points elsewhere is put right with the next name",
      change: async (library) => {
        const wrong = { ...target, digest: digestOf(Buffer.from("elsewhere")) };
        const record = library.images.records.get(id);
        assert.ok(record);
        await library.images.records.put({ ...record, target: wrong });
        await put(library, other, {});
      },
      expected: { [name]: managed, [id]: managed, [other]: managed },
    },
  ];
  for (const [at, { what, change, expected }] of cases.entries()) {
    await t.test(what, async () => {
      const root = await home.folder(`change ${at}`);
      const library = await openLibrary(root);
      await bringIn(library);
      await change(library);
      await library.images.refreshAll(call());
      assert.deepEqual(recordsOf(library), expected);
      for (const record of library.images.records.list()) {
        assert.equal(record.target.digest, target.digest);
      }
      const again = await openLibrary(root, { metadata: library.metadata });
      await allRead(again.images, 1);
      assert.deepEqual(recordsOf(again), expected);
    });
  }
});

test("names from before a restart are CRI's after it, though nobody was told of them", async () => {
  const root = await home.folder("before");
  const library = await openLibrary(root);
  await bringIn(library);
  const record = library.images.records.get(name);
  assert.ok(record);
  await library.images.records.remove([id], call());
  await library.images.records.put({ ...record, labels: {} });
  const again = await openLibrary(root, { metadata: library.metadata });
  await allRead(again.images, 1);
  await until("its names are CRI's", () => again.images.records.get(id) !== undefined);
  assert.deepEqual(recordsOf(again), { [name]: managed, [id]: managed });
});

test("a name that is being removed does not come back when its image becomes CRI's", async () => {
  const library = await openLibrary(await home.folder("leaving"));
  const { records } = library.images;
  await bringIn(library);
  const record = { ...records.get(name)!, labels: {} };
  await records.put(record);
  const removed = records.remove([name], call());
  assert.deepEqual(await records.adopt(record, id as Digest, call()), []);
  await removed;
  assert.deepEqual(recordsOf(library), { [id]: managed });
});

test("records of a client that lead to no image, or to a huge one, are no burden", async () => {
  const root = await home.folder("hostile records");
  const library = await openLibrary(root);
  const { images, content, metadata } = library;
  await bringIn(library);
  const now = nowNanos();
  const odd = {
    huge: Buffer.alloc(100 * 1024 * 1024, "[{},"),
    text: Buffer.from("no document"),
    large: Buffer.from(`{"manifests":[${"{},".repeat(2_000_000)}{}]}`),
    deep: Buffer.from("[".repeat(4_000_000)),
  };
  for (const [tag, bytes] of Object.entries(odd)) {
    const digest = digestOf(bytes);
    await using writer = await content.writer(namespace, tag, {});
    await writer.write(bytes, call());
    await writer.commit({ expected: digest });
    const record = { name: `example.test/odd:${tag}`, labels: {}, createdAtNanos: now };
    const pointsTo = { ...target, digest, size: bytes.length };
    await images.records.put({ ...record, target: pointsTo, updatedAtNanos: now });
  }
  await images.refreshAll(call());
  const listed = () => images.list().flatMap(({ repoTags }) => repoTags);
  assert.deepEqual(listed(), [name]);
  const again = await openLibrary(root, { metadata });
  assert.deepEqual(await allRead(again.images, 1), images.list());
  await again.images.remove("example.test/odd:huge", call());
  // A library that still reads its images collects when it has.
  const huge = digestOf(odd.huge);
  await until("what the name led to is gone", () => !content.info(namespace, huge));
});
