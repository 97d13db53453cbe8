// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { silentLogger } from "../base/logger.ts";
import { createContentStore } from "../content/content-store.ts";
import { digestOf } from "../content/digest.ts";
import { openMemoryMetadata } from "../metadata/mirrored-store.ts";
import { dropStaleIngests } from "./stale-ingests.ts";

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
    const root = await mkdtemp(path.join(os.tmpdir(), "berth ingests-"));
    t.after(() => rm(root, { recursive: true, force: true }));
    const metadata = openMemoryMetadata(silentLogger);
    const content = await createContentStore({ root, metadata, log: silentLogger });
    {
      await using there = await content.writer(namespace, "present", {});
      await there.write(present, call);
      await there.commit({});
    }
    {
      await using writer = await content.writer(namespace, ref, {});
      if (bytes > 0) await writer.write(Buffer.alloc(bytes), call);
    }
    const begun = Date.now() / 1000 - age;
    if (age > 0) await beginAt(root, begun);
    await dropStaleIngests({ content, namespace, log: silentLogger });
    const left = await content.ingests(namespace);
    assert.deepEqual(
      left.map((ingest) => ingest.ref),
      stays ? [ref] : [],
    );
  });
}

/** As if the only ingest had been begun then, in seconds since the epoch, and not been written to since. */
async function beginAt(root: string, seconds: number): Promise<void> {
  const [name = ""] = await readdir(path.join(root, "ingest"));
  const folder = path.join(root, "ingest", name);
  await utimes(path.join(folder, "data"), seconds, seconds);
  const file = path.join(folder, "ingest.json");
  const facts = JSON.parse(await readFile(file, "utf8")) as object;
  await writeFile(
    file,
    JSON.stringify({ ...facts, startedAt: String(BigInt(Math.round(seconds)) * 1_000_000_000n) }),
  );
}
