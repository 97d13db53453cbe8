// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdtempSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { makeStores, type Stores } from "../../test/support/stores.ts";
import { removeFolderSync } from "../base/remove-folder.ts";
import { digestOf } from "../content/digest.ts";
import type { Digest } from "../content/ports.ts";
import { imagesTable } from "../images/image-records.ts";
import { containersTable } from "../metadata/records.ts";
import { referencesOf } from "../metadata/references.ts";
import { codec } from "../rpc/codec.ts";

const ns = "ns";
const call = { signal: new AbortController().signal };

interface Bench extends Stores, AsyncDisposable {
  blob(text: string, labels?: Record<string, string>): Promise<Digest>;
  image(name: string, target: Digest): Promise<void>;
  /** What is left, by the blobs' texts and the snapshots' names. */
  left(): Promise<string[]>;
}

async function bench(): Promise<Bench> {
  const folder = mkdtempSync(path.join(os.tmpdir(), "berth gc-"));
  const stores = await makeStores(folder);
  const { metadata, content, snapshots, garbage } = stores;
  return {
    ...stores,
    blob: async (text, labels = {}) => {
      await using writer = await content.writer(ns, text, {});
      await writer.write(Buffer.from(text), call);
      return await writer.commit({ labels });
    },
    image: (name, digest) =>
      imagesTable(metadata).put(ns, name, {
        name,
        target: { mediaType: "m", digest, size: 1, annotations: {} },
        labels: {},
        createdAtNanos: 1n,
        updatedAtNanos: 1n,
      }),
    left: async () => {
      const blobs = content.list(ns).map(({ digest }) => content.read(digest, call));
      const texts = (await Promise.all(blobs)).map(String);
      return [...texts, ...snapshots.list(ns).map(({ name }) => name)].sort();
    },
    [Symbol.asyncDispose]: async () => {
      await garbage[Symbol.asyncDispose]();
      removeFolderSync(folder);
    },
  };
}

/** Commits layers on top of one another. */
async function layers({ snapshots }: Bench, ...names: readonly string[]): Promise<void> {
  let parent = "";
  for (const name of names) {
    await snapshots.prepare(ns, `${name}-key`, parent, call);
    await snapshots.commit(ns, name, `${name}-key`, call);
    parent = name;
  }
}

const contentRef = "containerd.io/gc.ref.content";

test("references: content, snapshots and images, with any suffix", () => {
  const found = [
    ...referencesOf({
      [contentRef]: "a",
      [`${contentRef}.l.0`]: "b",
      [`${contentRef}/config`]: "c",
      "containerd.io/gc.ref.contents": "no",
      "containerd.io/gc.ref.snapshot.overlayfs": "d",
      "containerd.io/gc.ref.snapshot.native/x": "e",
      "containerd.io/gc.ref.image.one": "f",
      "containerd.io/gc.root": "no",
      other: "no",
    }),
  ];
  assert.deepEqual(
    found.map(({ type, id }) => `${type} ${id}`),
    [
      "content a",
      "content b",
      "content c",
      "snapshots/overlayfs d",
      "snapshots/native e",
      "images f",
    ],
  );
});

test("a collection keeps what an image leads to, and removes the rest", async () => {
  await using b = await bench();
  await layers(b, "base", "top");
  const layer = await b.blob("layer");
  const config = await b.blob("config", { "containerd.io/gc.ref.snapshot.native": "top" });
  const manifest = await b.blob("manifest", {
    [`${contentRef}.config`]: config,
    [`${contentRef}.l.0`]: layer,
  });
  await b.blob("stray");
  await b.blob("rooted", { "containerd.io/gc.root": "now" });
  await b.image("image", manifest);
  await b.snapshots.prepare(ns, "stray-active", "top", call);
  assert.equal(await b.garbage.collect(ns, call), true);
  assert.deepEqual(await b.left(), ["base", "config", "layer", "manifest", "rooted", "top"]);
  await imagesTable(b.metadata).delete(ns, "image");
  await b.garbage.collect(ns, call);
  assert.deepEqual(await b.left(), ["rooted"]);
});

test("a container's snapshot stays with all below it", async () => {
  await using b = await bench();
  await layers(b, "base", "top");
  await b.snapshots.prepare(ns, "rw", "base", call);
  const container = { id: "c", snapshotter: "native", snapshotKey: "rw" };
  const message = codec("containerd.services.containers.v1.Container").normalize(container);
  await containersTable(b.metadata).put(ns, "c", message);
  await b.garbage.collect(ns, call);
  assert.deepEqual(await b.left(), ["base", "rw"]);
});

const leaseCases: {
  name: string;
  labels: Record<string, string>;
  left: string[];
  leases: number;
}[] = [
  { name: "a lease holds what its things refer to", labels: {}, left: ["leaf", "tree"], leases: 1 },
  {
    name: "a flat lease holds its things alone",
    labels: { "containerd.io/gc.flat": "" },
    left: ["tree"],
    leases: 1,
  },
  {
    name: "a lease that ends later holds",
    labels: { "containerd.io/gc.expire": new Date(Date.now() + 3_600_000).toISOString() },
    left: ["leaf", "tree"],
    leases: 1,
  },
  {
    name: "an expired lease goes",
    labels: { "containerd.io/gc.expire": "2020-01-01T00:00:00.123456789Z" },
    left: [],
    leases: 0,
  },
];
for (const { name, labels, left, leases } of leaseCases) {
  test(name, async () => {
    await using b = await bench();
    const leaf = await b.blob("leaf");
    const tree = await b.blob("tree", { [contentRef]: leaf });
    await b.leases.create(ns, "lease", labels);
    await b.leases.add(ns, "lease", { type: "content", id: tree });
    await b.garbage.collect(ns, call);
    assert.deepEqual(await b.left(), left);
    assert.equal(b.leases.list(ns).length, leases);
    assert.equal(b.leases.resources(ns, "lease").length, leases);
  });
}

test("who holds a namespace keeps its collection off, and no other's", async () => {
  await using b = await bench();
  await b.blob("stray");
  const hold = await b.garbage.hold(ns, call);
  assert.equal(await b.garbage.collect(ns, call), false);
  assert.equal(await b.garbage.collect("other", call), true);
  assert.deepEqual(await b.left(), ["stray"]);
  const patient = b.garbage.collect(ns, { patienceMs: 60_000, ...call });
  hold[Symbol.dispose]();
  assert.equal(await patient, true);
  assert.deepEqual(await b.left(), []);
});

test("what a client has left unfinished goes with its lease", async () => {
  await using b = await bench();
  const half = async (ref: string): Promise<void> => {
    await using writer = await b.content.writer(ns, ref, {});
    await writer.write(Buffer.from("half"), call);
  };
  const refs = async (): Promise<string[]> =>
    (await b.content.ingests(ns)).map(({ ref }) => ref).toSorted();
  for (const ref of ["its", "another's", "nobody's"]) await half(ref);
  for (const [lease, ref] of [
    ["one", "its"],
    ["one", "another's"],
    ["two", "another's"],
  ] as const) {
    if (!b.leases.has(ns, lease)) await b.leases.create(ns, lease, {});
    await b.leases.add(ns, lease, { type: "ingests", id: ref });
  }
  await b.garbage.collect(ns, call);
  assert.deepEqual(await refs(), ["another's", "its", "nobody's"]);
  await b.leases.delete(ns, "one");
  await b.garbage.collect(ns, call);
  assert.deepEqual(await refs(), ["another's", "nobody's"]);
});

test("further roots, other namespaces and fresh ingests are spared", async () => {
  await using b = await bench();
  const kept = await b.blob("kept");
  b.garbage.addRoots(ns, () => [{ type: "content", id: kept }]);
  {
    await using writer = await b.content.writer(ns, "unfinished", {});
    await writer.write(Buffer.from("half"), call);
  }
  await b.blob("stray");
  await b.garbage.collect("elsewhere", call);
  assert.deepEqual(await b.left(), ["kept", "stray"]);
  await b.garbage.collect(ns, call);
  assert.deepEqual(await b.left(), ["kept"]);
  assert.deepEqual(
    (await b.content.ingests(ns)).map(({ ref }) => ref),
    ["unfinished"],
  );
  assert.equal(digestOf("kept"), kept);
});
