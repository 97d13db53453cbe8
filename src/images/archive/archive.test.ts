// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { buffer } from "node:stream/consumers";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { scratch } from "../../../test/support/scratch.ts";
import { type RawMember, tarBytes } from "../../../test/support/tar-bytes.ts";
import { openArchive, type Visit } from "./archive.ts";

const call = { signal: AbortSignal.timeout(50_000) };

const members: readonly RawMember[] = [
  { name: "index.json", content: "index" },
  { name: "./dotted", content: "dotted" },
  { name: "empty" },
  { name: "twice", content: "first" },
  { name: "twice", content: "second" },
  { name: "blobs/", flag: "5" },
  { name: "blobs/layer", content: "layer" },
  { name: "old/beside", flag: "2", link: "layer" },
  { name: "old/layer", flag: "2", link: "../blobs/layer" },
  { name: "hard", flag: "1", link: "./blobs/layer" },
  { name: "out", flag: "2", link: "../../../etc/passwd" },
  { name: "absolute", flag: "2", link: "/etc/passwd" },
  { name: "round", flag: "2", link: "about" },
  { name: "about", flag: "2", link: "round" },
  { name: "link-0", content: "reached" },
  ...Array.from({ length: 9 }, (_, at) => ({
    name: `link-${at + 1}`,
    flag: "2",
    link: `link-${at}`,
  })),
  { name: "f\xc3\xbcr", content: "utf8" },
  { name: "fifo", flag: "6" },
];

/** What is read under each name; undefined where there is no such file. */
const found: Readonly<Record<string, string | undefined>> = {
  "index.json": "index",
  "./index.json": "index",
  "blobs/../index.json": "index",
  dotted: "dotted",
  empty: "",
  twice: "second",
  blobs: undefined,
  "blobs/layer": "layer",
  "old/beside": "layer",
  "old/layer": "layer",
  hard: "layer",
  out: undefined,
  absolute: undefined,
  round: undefined,
  "link-7": "reached",
  "link-8": undefined,
  für: "utf8",
  fifo: undefined,
  missing: undefined,
};

for (const { kind, bytes } of [
  { kind: "plain", bytes: tarBytes(members) },
  { kind: "gzipped", bytes: gzipSync(tarBytes(members)) },
]) {
  test(`a ${kind} archive gives its files by name, through links within it`, async () => {
    await using home = await scratch();
    const file = path.join(home.path, "images.tar");
    await writeFile(file, bytes);
    await using archive = await openArchive(file, call);
    const read: Record<string, string | undefined> = {};
    for (const name of Object.keys(found)) {
      const one = await archive.open(name, call);
      read[name] = one && (await buffer(one.stream())).toString();
      assert.equal(one?.sizeBytes, found[name]?.length, name);
    }
    assert.deepEqual(read, found);
  });
}

test("a large file comes whole, and the archive keeps nothing of those that were read", async () => {
  await using home = await scratch();
  const file = path.join(home.path, "images.tar");
  const content = randomBytes(300_000);
  await writeFile(file, tarBytes([{ name: "before" }, { name: "large", content }]));
  const warnings: Error[] = [];
  const warned = (warning: Error): void => void warnings.push(warning);
  process.on("warning", warned);
  await using archive = await openArchive(file, call);
  for (let time = 0; time < 12; time += 1) {
    const large = await archive.open("large", call);
    assert.ok(large);
    assert.ok((await buffer(large.stream())).equals(content));
  }
  await new Promise((resolve) => setImmediate(resolve));
  process.off("warning", warned);
  assert.deepEqual(warnings, []);
});

const long = "n".repeat(5000);
const refused: readonly { what: string; member: RawMember; says: RegExp }[] = [
  {
    what: "an endless name",
    member: { name: "a", pax: { path: long } },
    says: /^archive has a name that is too long$/,
  },
  {
    what: "an endless link",
    member: { name: "a", flag: "2", pax: { linkpath: long } },
    says: /^archive has a name that is too long$/,
  },
  {
    what: "a sparse file",
    member: {
      name: "a",
      content: "x",
      pax: { "GNU.sparse.size": "1024", "GNU.sparse.map": "1023,1" },
    },
    says: /^archive holds a sparse file: "a"$/,
  },
  {
    what: "a member that its end cuts off",
    member: { name: "a", size: 1_000_000 },
    says: /./,
  },
];

for (const { what, member, says } of refused) {
  test(`an archive with ${what} is refused`, async () => {
    await using home = await scratch();
    const file = path.join(home.path, "images.tar");
    await writeFile(file, tarBytes([{ name: "index.json", content: "{}" }, member]));
    await assert.rejects(openArchive(file, call), {
      code: "INVALID_ARGUMENT",
      message: says,
    });
  });
}

test("a file that is left half way does not touch the bytes of the next", {
  timeout: 20_000,
}, async () => {
  await using home = await scratch();
  // It is inflated in pieces of half a MiB: the second begins in the one that the first was about to read.
  const first = Buffer.alloc(1024 * 1024 - 20_000);
  for (const size of [40_000, 5100, 200_000, 1_500_000]) {
    const file = path.join(home.path, `${size}.tar.gz`);
    const second = randomBytes(size);
    const tar = tarBytes([
      { name: "first", content: first },
      { name: "second", content: second },
    ]);
    await writeFile(file, gzipSync(tar));
    await using archive = await openArchive(file, call);
    let read: Buffer | undefined;
    const take: Visit = async ([name], it) => {
      const stream = it.stream();
      if (name === "second") read = await buffer(stream);
      else {
        stream.on("data", () => {});
        await once(stream, "data");
        stream.destroy();
      }
    };
    await archive.visit(["first", "second"], take, call);
    assert.ok(read?.equals(second), String(size));
  }
});

test("an archive that is not there is NOT_FOUND", async () => {
  await using home = await scratch();
  for (const name of ["missing.tar", "missing/images.tar"]) {
    await assert.rejects(openArchive(path.join(home.path, name), call), {
      code: "NOT_FOUND",
      message: /^cannot read ".*": ENOENT$/,
    });
  }
});
