// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { ageIngest } from "../../test/support/age-ingest.ts";
import { silentLogger } from "../base/logger.ts";
import { createContentStore } from "../content/content-store.ts";
import { digestOf } from "../content/digest.ts";
import type { ContentStore } from "../content/ports.ts";
import { openMemoryMetadata } from "../metadata/mirrored-store.ts";
import { dropIdleDownloads, dropStaleIngests } from "./stale-ingests.ts";

const namespace = "k8s.io";
const call = { signal: new AbortController().signal };
const present = Buffer.from("a layer that is there");
const absent = digestOf(Buffer.from("a layer that is not"));
const hour = 3600;

const cases = [
  { what: "a download under way", ref: `layer-${absent}`, bytes: 5, stays: true },
  { what: "a download of last night", ref: `layer-${absent}`, age: 20 * hour, stays: true },
  { what: "a download of two days ago", ref: `layer-${absent}`, age: 48 * hour, stays: false },
  { what: "a download without a byte", ref: `layer-${absent}`, bytes: 0, stays: false },
  { what: "a download of what is there", ref: `layer-${digestOf(present)}`, stays: false },
  { what: "one that did not wait for another", ref: `layer-${absent}-4f1c-22`, stays: false },
  { what: "an import", ref: "import-1", stays: false },
  { what: "a document", ref: "document-1", stays: false },
  { what: "a client's own", ref: "upload", age: 48 * hour, stays: true },
  { what: "a client's own without a byte", ref: "upload", bytes: 0, stays: true },
  { what: "a client's own by another digest", ref: "layer-sha512:00-1", stays: true },
];

for (const { what, ref, bytes = 5, age = 0, stays } of cases) {
  test(`at start ${what} ${stays ? "stays" : "goes"}`, async (t) => {
    const { root, content } = await open(t);
    {
      await using there = await content.writer(namespace, "present", {});
      await there.write(present, call);
      await there.commit({});
    }
    await leave(root, content, { ref, bytes, age });
    await dropStaleIngests({ content, namespace, log: silentLogger });
    assert.deepEqual(await refs(content), stays ? [ref] : []);
  });
}

for (const { what, ref, age, stays } of [
  { what: "a download of two hours ago", ref: `layer-${absent}`, age: 2 * hour, stays: false },
  { what: "a download of this hour", ref: `layer-${absent}`, age: hour / 2, stays: true },
  { what: "an import under way", ref: "import-1", age: 2 * hour, stays: true },
  { what: "a client's own", ref: "upload", age: 48 * hour, stays: true },
]) {
  test(`for space ${what} ${stays ? "stays" : "goes"}`, async (t) => {
    const { root, content } = await open(t);
    await leave(root, content, { ref, bytes: 5, age });
    await dropIdleDownloads({ content, namespace, log: silentLogger });
    assert.deepEqual(await refs(content), stays ? [ref] : []);
  });
}

test("a download that is being written stays, however slow it is", async (t) => {
  const { root, content } = await open(t);
  const ref = `layer-${absent}`;
  await leave(root, content, { ref, bytes: 5, age: 2 * hour });
  await using _writer = await content.writer(namespace, ref, {});
  await dropIdleDownloads({ content, namespace, log: silentLogger });
  assert.deepEqual(await refs(content), [ref]);
});

async function open(t: TestContext): Promise<{ root: string; content: ContentStore }> {
  const root = await mkdtemp(path.join(os.tmpdir(), "berth ingests-"));
  t.after(() => rm(root, { recursive: true, force: true }));
  const metadata = openMemoryMetadata(silentLogger);
  return { root, content: await createContentStore({ root, metadata, log: silentLogger }) };
}

interface Leftover {
  readonly ref: string;
  readonly bytes: number;
  /** In seconds. */
  readonly age: number;
}

async function leave(root: string, content: ContentStore, left: Leftover): Promise<void> {
  {
    await using writer = await content.writer(namespace, left.ref, {});
    if (left.bytes > 0) await writer.write(Buffer.alloc(left.bytes), call);
  }
  if (left.age > 0) await ageIngest(root, left.age);
}

async function refs(content: ContentStore): Promise<string[]> {
  return (await content.ingests(namespace)).map(({ ref }) => ref);
}
