// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { silentLogger } from "../base/logger.ts";
import { openMemoryMetadata } from "../metadata/mirrored-store.ts";
import { createContentStore } from "./content-store.ts";
import { digestOf } from "./digest.ts";
import type { ContentStore, Digest } from "./ports.ts";
import { writeOnce } from "./write-once.ts";

const call = { signal: new AbortController().signal };
const hello = Buffer.from("hello");
const ns = "k8s.io";

async function open(t: TestContext) {
  const root = await mkdtemp(path.join(os.tmpdir(), "berth content-"));
  t.after(() => rm(root, { recursive: true, force: true }));
  const metadata = openMemoryMetadata(silentLogger);
  const store = await createContentStore({ root, metadata, log: silentLogger });
  return { root, metadata, store };
}

async function put(store: ContentStore, bytes: Buffer, namespace = ns): Promise<Digest> {
  await using writer = await store.writer(namespace, `ref ${digestOf(bytes)}`, {});
  await writer.write(bytes, call);
  return await writer.commit({ expected: digestOf(bytes), labels: { a: "b" } });
}

test("a blob is there once it is committed, with its labels", async (t) => {
  const { root, store } = await open(t);
  await using writer = await store.writer(ns, "a/ref", { sizeBytes: 5n });
  await writer.write(hello.subarray(0, 2), call);
  await writer.write(hello.subarray(2), call);
  assert.equal(await writer.digest(), digestOf(hello));
  assert.deepEqual(store.list(ns), []);
  assert.equal((await store.ingests(ns))[0]?.totalBytes, 5n);
  const digest = await writer.commit({ labels: { k: "v" } });
  assert.equal(digest, digestOf(hello));
  assert.deepEqual(await store.read(digest, call), hello);
  assert.deepEqual(await readFile(store.pathOf(digest)), hello);
  assert.deepEqual(store.info(ns, digest)?.labels, { k: "v" });
  assert.equal(store.info(ns, digest)?.sizeBytes, 5n);
  assert.deepEqual(await readdir(path.join(root, "ingest")), []);
  assert.deepEqual((await store.setLabels(ns, digest, { x: "y" })).labels, { x: "y" });
});

test("a blob comes in pieces of any size, and none is kept as it came", async (t) => {
  const { store } = await open(t);
  const whole = Buffer.alloc(3_500_000, "0123456789abcdef-");
  await using writer = await store.writer(ns, "pieces", {});
  const piece = Buffer.alloc(1);
  for (let at = 0; at < 2000; at += 1) {
    piece.set(whole.subarray(at, at + 1));
    await writer.write(piece, call);
  }
  const rest = Buffer.from(whole.subarray(2000));
  for (const [from, to] of [
    [0, 900_000],
    [900_000, 3_400_000],
    [3_400_000, rest.length],
  ] as const) {
    const large = rest.subarray(from, to);
    await writer.write(large, call);
    large.fill(0);
  }
  assert.equal(writer.offsetBytes, BigInt(whole.length));
  const digest = await writer.commit({ expected: digestOf(whole) });
  assert.ok((await store.read(digest, call)).equals(whole));
});

test("wrong size or digest is refused", async (t) => {
  const { store } = await open(t);
  const wrong = [
    { sizeBytes: 4n },
    { expected: digestOf("other") },
    { sizeBytes: 5n, expected: digestOf("other") },
  ];
  for (const [at, options] of wrong.entries()) {
    await using writer = await store.writer(ns, `ref-${at}`, {});
    await writer.write(hello, call);
    await assert.rejects(writer.commit(options), { code: "FAILED_PRECONDITION" });
  }
  assert.deepEqual(store.list(ns), []);
});

test("an ingest goes on where its last writer stopped", async (t) => {
  const { root, metadata, store } = await open(t);
  {
    await using writer = await store.writer(ns, "r", { expected: digestOf(hello) });
    await writer.write(hello.subarray(0, 3), call);
  }
  const later = await createContentStore({ root, metadata, log: silentLogger });
  const [before] = await later.ingests(ns);
  await using writer = await later.writer(ns, "r", {});
  assert.equal(writer.status().updatedAtNanos, before?.updatedAtNanos);
  assert.equal(writer.offsetBytes, 3n);
  await writer.write(hello.subarray(3), call);
  assert.equal(await writer.commit({}), digestOf(hello));
});

test("no ingest is older than its start", async (t) => {
  const { store } = await open(t);
  for (let round = 0; round < 20; round += 1) {
    await using writer = await store.writer(ns, `r${round}`, {});
    const { startedAtNanos, updatedAtNanos } = writer.status();
    assert.ok(updatedAtNanos >= startedAtNanos);
  }
  for (const { startedAtNanos, updatedAtNanos } of await store.ingests(ns)) {
    assert.ok(updatedAtNanos >= startedAtNanos);
  }
});

test("a truncated ingest starts over", async (t) => {
  const { store } = await open(t);
  await using writer = await store.writer(ns, "r", {});
  await writer.write(Buffer.from("rubbish"), call);
  await writer.truncate(0n);
  await writer.write(hello, call);
  assert.equal(await writer.commit({}), digestOf(hello));
});

test("a ref has one writer at a time, also for abort", async (t) => {
  const { store } = await open(t);
  {
    await using _writer = await store.writer(ns, "r", {});
    await assert.rejects(store.writer(ns, "r", {}), { code: "UNAVAILABLE" });
    await assert.rejects(store.abort(ns, "r"), { code: "UNAVAILABLE" });
    await using _other = await store.writer("other", "r", {});
    await assert.rejects(store.abort("third", "r", { evenWhileWritten: true }), {
      code: "NOT_FOUND",
    });
  }
  await store.abort(ns, "r");
  assert.deepEqual(await store.ingests(ns), []);
  await assert.rejects(store.abort(ns, "r"), { code: "NOT_FOUND" });
});

test("what exists needs no writer, and committing it again is success", async (t) => {
  const { store } = await open(t);
  const digest = await put(store, hello);
  await assert.rejects(store.writer(ns, "r", { expected: digest }), { code: "ALREADY_EXISTS" });
  assert.equal(await put(store, hello), digest);
  assert.equal(store.list(ns).length, 1);
});

test("a blob's file goes with its last namespace", async (t) => {
  const { store } = await open(t);
  const digest = await put(store, hello);
  await put(store, hello, "other");
  const file = store.pathOf(digest);
  await store.delete(ns, digest);
  assert.equal(store.info(ns, digest), undefined);
  assert.ok(existsSync(file));
  await store.delete("other", digest);
  assert.ok(!existsSync(file));
  assert.throws(() => store.pathOf(digest), { code: "NOT_FOUND" });
  await assert.rejects(store.delete(ns, digest), { code: "NOT_FOUND" });
  await assert.rejects(store.read(digest, call), { code: "NOT_FOUND" });
});

test("start-up puts right what a crash left", async (t) => {
  const { root, metadata, store } = await open(t);
  const kept = await put(store, hello);
  const lost = await put(store, Buffer.from("lost"));
  await rm(store.pathOf(lost));
  const orphan = path.join(root, "blobs/sha256", "ab".repeat(32));
  await writeFile(orphan, "orphan");
  await mkdir(path.join(root, "ingest", "half-made"));
  const later = await createContentStore({ root, metadata, log: silentLogger });
  assert.deepEqual(
    later.list(ns).map(({ digest }) => digest),
    [kept],
  );
  assert.ok(!existsSync(orphan));
  assert.deepEqual(await later.ingests(ns), []);
});

test("what is written once is gone when it fails, and there when it is committed", async (t) => {
  const { store } = await open(t);
  const target = { namespace: ns, ref: "document-1" };
  const failing = writeOnce(store, target, async (writer) => {
    await writer.write(hello, call);
    throw new Error("cancelled");
  });
  await assert.rejects(failing, /cancelled/);
  assert.deepEqual(await store.ingests(ns), []);
  const digest = await writeOnce(store, target, async (writer) => {
    await writer.write(hello, call);
    return writer.commit({});
  });
  assert.deepEqual(await store.read(digest, call), hello);
  assert.deepEqual(await store.ingests(ns), []);
});

test("a start drops ingests that tell nothing, and keeps those that can go on", async (t) => {
  const { root, metadata, store } = await open(t);
  {
    await using writer = await store.writer(ns, "layer", {});
    await writer.write(hello, call);
  }
  const [kept = ""] = await readdir(path.join(root, "ingest"));
  for (const name of ["empty", "cut"]) await mkdir(path.join(root, "ingest", name));
  await writeFile(path.join(root, "ingest", "cut", "ingest.json.0123456789ab.tmp"), "{");
  await createContentStore({ root, metadata, log: silentLogger });
  assert.deepEqual(await readdir(path.join(root, "ingest")), [kept]);
});

const mib = 1024 * 1024;
const proofs: readonly { name: string; proof: (own: Digest) => Promise<Digest | undefined> }[] = [
  { name: "who tells it", proof: async (own) => own },
  { name: "who gives up", proof: async () => undefined },
  { name: "who read something else", proof: async () => digestOf("else") },
  { name: "who never ends", proof: () => new Promise(() => {}) },
];

for (const { name, proof } of proofs) {
  test(`a blob has its digest with a reader along ${name}`, { timeout: 20_000 }, async (t) => {
    const { store } = await open(t);
    const bytes = Buffer.alloc(5 * mib, "along");
    const expected = digestOf(bytes);
    const files: string[] = [];
    let completed = 0;
    const along = {
      begin: (file: string) => {
        files.push(file);
        return files.length > 1 ? proof(expected) : undefined; // the first time it cannot
      },
      complete: () => {
        completed += 1;
      },
    };
    const options = { expected, sizeBytes: BigInt(bytes.length), along };
    await using writer = await store.writer(ns, "r", options);
    for (let at = 0; at < bytes.length; at += 100_000) {
      await writer.write(bytes.subarray(at, at + 100_000), call);
    }
    assert.equal(files.length, 2);
    assert.equal(completed, 1);
    assert.equal(await writer.commit({ expected }), expected);
    assert.deepEqual(await store.read(expected, call), bytes);
  });
}

test("bytes that nobody has proven are refused for what they are", async (t) => {
  const { store } = await open(t);
  const bytes = Buffer.alloc(4 * mib);
  const expected = digestOf("what was wanted");
  const along = { begin: async () => digestOf(bytes), complete: () => {} };
  await using writer = await store.writer(ns, "r", {
    expected,
    sizeBytes: 4n * BigInt(mib),
    along,
  });
  await writer.write(bytes, call);
  await assert.rejects(writer.commit({ expected }), { code: "FAILED_PRECONDITION" });
  await writer.truncate(0n);
  await writer.write(hello, call);
  assert.equal(await writer.digest(), digestOf(hello));
});

test("a damaged blob is dropped by who reads it, and may be written again at once", async (t) => {
  const { store } = await open(t);
  const digest = await put(store, hello);
  await put(store, hello, "other");
  await writeFile(store.pathOf(digest), "jello");
  await assert.rejects(store.read(digest, call), {
    code: "DATA_LOSS",
    message: `content "${digest}" is damaged on the disk: its bytes have the digest ${digestOf("jello")}`,
  });
  assert.deepEqual([store.list(ns), store.list("other")], [[], []]);
  await put(store, hello);
  assert.deepEqual(await store.read(digest, call), hello);
});

test("a blob that is being dropped gets no labels, and is no obstacle to a writer", async (t) => {
  const { store } = await open(t);
  const digest = await put(store, hello);
  const dropped = store.dropDamaged(digest, { seen: store.fileNow(digest), problem: "rotten" });
  assert.equal(store.info(ns, digest), undefined);
  await assert.rejects(store.setLabels(ns, digest, { x: "y" }), { code: "NOT_FOUND" });
  await using writer = await store.writer(ns, "again", { expected: digest });
  await writer.write(hello, call);
  assert.equal((await dropped)?.code, "DATA_LOSS");
  await writer.commit({});
  assert.deepEqual(await store.read(digest, call), hello);
});

test("a blob that was brought in again meanwhile is not dropped", async (t) => {
  const { store } = await open(t);
  const digest = await put(store, hello);
  const seen = store.fileNow(digest);
  await put(store, hello, "other");
  assert.equal(await store.dropDamaged(digest, { seen, problem: "rotten" }), undefined);
  assert.deepEqual(await store.read(digest, call), hello);
});

test("an ingest that is taken away as it is written loses no byte of another's", async (t) => {
  const { store } = await open(t);
  const all = Buffer.alloc(3 << 20, "all of it ");
  const digest = digestOf(all);
  const gone = await store.writer(ns, "gone", {});
  const writing = gone.write(Buffer.alloc(5 << 20, "x"), call).catch((error: unknown) => error);
  await store.abort(ns, "gone", { evenWhileWritten: true });
  const kept = await store.writer(ns, "kept", { sizeBytes: BigInt(all.length) });
  for (let at = 0; at < all.length; at += 100_000) {
    await kept.write(all.subarray(at, at + 100_000), call);
  }
  await writing;
  await kept.commit({ expected: digest });
  assert.equal(digestOf(await readFile(store.pathOf(digest))), digest);
});

test("what an earlier writer left is read by who reads along, or at the end", async (t) => {
  const { root, store } = await open(t);
  const bytes = Buffer.alloc(6 * mib, "left and resumed");
  const expected = digestOf(bytes);
  for (const isRead of [true, false]) {
    const ref = `read: ${isRead}`;
    const options = { expected, sizeBytes: BigInt(bytes.length) };
    {
      await using first = await store.writer(ns, ref, options);
      await first.write(bytes.subarray(0, 2 * mib), call);
    }
    const along = { begin: () => (isRead ? Promise.resolve(expected) : undefined), complete() {} };
    await using second = await store.writer(ns, ref, { ...options, along });
    assert.equal(second.offsetBytes, BigInt(2 * mib));
    // Spoiled bytes are found by who reads them: not by us, where the reader tells the digest.
    const dir = (await readdir(path.join(root, "ingest")))[0]!;
    await truncate(path.join(root, "ingest", dir, "data"), mib);
    await truncate(path.join(root, "ingest", dir, "data"), 2 * mib);
    for (let at = 2 * mib; at < bytes.length; at += mib) {
      await second.write(bytes.subarray(at, at + mib), call);
    }
    assert.equal((await second.digest()) === expected, isRead);
    await second.truncate(0n);
    await second[Symbol.asyncDispose]();
    await store.abort(ns, ref);
  }
});
