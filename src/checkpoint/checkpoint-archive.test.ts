// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { gzipSync } from "node:zlib";
import tar from "tar-stream";
import { makeFifo } from "../base/os/fifo.ts";
import { removeFolderSync } from "../base/remove-folder.ts";
import { unpackArchive } from "./checkpoint-archive.ts";
import { packFolder } from "./folder-tar.ts";

const folder = mkdtempSync(path.join(os.tmpdir(), "berth cp-"));
after(() => removeFolderSync(folder));
const skip = process.getuid?.() === 0 ? false : "needs root";
const call = { signal: new AbortController().signal };

async function collect(chunks: AsyncIterable<unknown>): Promise<Buffer> {
  const all: Buffer[] = [];
  for await (const chunk of chunks) all.push(chunk as Buffer);
  return Buffer.concat(all);
}

test("a checkpoint's folder survives being packed and unpacked", { skip }, async () => {
  const from = path.join(folder, "from");
  mkdirSync(path.join(from, "sub"), { recursive: true });
  const pages = Buffer.alloc(300_000, 7);
  writeFileSync(path.join(from, "pages-1.img"), pages);
  writeFileSync(path.join(from, "sub", "core.img"), "core");
  writeFileSync(path.join(from, "empty.img"), "");
  const file = path.join(folder, "a.tar");
  writeFileSync(file, await collect(packFolder(from)));
  const to = path.join(folder, "to");
  await unpackArchive(file, to, call);
  assert.deepEqual(readFileSync(path.join(to, "pages-1.img")), pages);
  assert.equal(readFileSync(path.join(to, "sub", "core.img"), "utf8"), "core");
  assert.equal(readFileSync(path.join(to, "empty.img"), "utf8"), "");
});

interface Member {
  readonly type: string | null | undefined;
  readonly mode: number | undefined;
  readonly content: string;
}

/** What another program's reader finds. */
async function readByOthers(archive: Buffer): Promise<Record<string, Member>> {
  const found: Record<string, Member> = {};
  const extract = tar.extract();
  extract.end(archive);
  for await (const entry of extract) {
    const { name, type, mode } = entry.header;
    found[name] = { type, mode, content: (await collect(entry)).toString() };
  }
  return found;
}

test("another reader of tar finds a checkpoint's files and folders, and nothing else", async () => {
  const from = path.join(folder, "others");
  const long = `${"deep/".repeat(30)}pages-1.img`;
  mkdirSync(path.join(from, path.dirname(long)), { recursive: true, mode: 0o700 });
  writeFileSync(path.join(from, long), "x".repeat(1000), { mode: 0o600 });
  writeFileSync(path.join(from, "größe.img"), "", { mode: 0o600 });
  symlinkSync("/etc/passwd", path.join(from, "link"));
  makeFifo(path.join(from, "fifo"), 0o600);
  const found = await readByOthers(await collect(packFolder(from)));
  const folders = Array.from({ length: 30 }, (_, depth) => "deep/".repeat(depth + 1));
  assert.deepEqual(found, {
    ...Object.fromEntries(
      folders.map((name) => [name, { type: "directory", mode: 0o700, content: "" }]),
    ),
    [long]: { type: "file", mode: 0o600, content: "x".repeat(1000) },
    "größe.img": { type: "file", mode: 0o600, content: "" },
  });
});

test("a file that shrinks or grows while it is packed leaves no archive that lies", async () => {
  const from = path.join(folder, "moving");
  const file = path.join(from, "pages-1.img");
  mkdirSync(from);
  writeFileSync(file, "x".repeat(2000));
  const packing = packFolder(from);
  const { value: header } = await packing.next();
  writeFileSync(file, "y".repeat(5000));
  const found = await readByOthers(Buffer.concat([header as Buffer, await collect(packing)]));
  assert.equal(found["pages-1.img"]?.content, "y".repeat(2000));
  const again = packFolder(from);
  await again.next();
  writeFileSync(file, "");
  await assert.rejects(collect(again), { code: "ABORTED", message: /pages-1\.img" shrank/ });
});

/** The archive is unpacked in a process that is chrooted. */
const hostile: { name: string; header: Partial<tar.Header> & { name: string } }[] = [
  { name: "a way out", header: { name: "../out.img" } },
  { name: "a symlink", header: { name: "link", type: "symlink", linkname: "/etc" } },
  { name: "a FIFO", header: { name: "fifo", type: "fifo" } },
  { name: "a hard link", header: { name: "hard", type: "link", linkname: "/etc/passwd" } },
  { name: "a device", header: { name: "null", type: "character-device" } },
];
for (const { name, header } of hostile) {
  test(`unpackArchive refuses ${name}`, { skip }, async () => {
    const pack = tar.pack();
    pack.entry(header, "");
    pack.finalize();
    const file = path.join(folder, "bad.tar");
    writeFileSync(file, await collect(pack));
    const unpack = unpackArchive(file, path.join(folder, `bad ${name}`), call);
    await assert.rejects(unpack, { code: "INVALID_ARGUMENT" });
  });
}

const noArchives: readonly (readonly [what: string, make: (file: string) => void])[] = [
  ["a device", (file) => symlinkSync("/dev/zero", file)],
  ["a link to an archive", (file) => symlinkSync(path.join(folder, "a.tar"), file)],
  ["a FIFO", (file) => makeFifo(file, 0o600)],
  ["a folder", (file) => mkdirSync(file)],
];
for (const [what, make] of noArchives) {
  test(`unpackArchive refuses ${what} in place of the archive`, async () => {
    const file = path.join(folder, what);
    make(file);
    const unpacking = unpackArchive(file, path.join(folder, "none"), call);
    await assert.rejects(unpacking, { code: "INVALID_ARGUMENT", message: /^checkpoint "/ });
    assert.ok(!existsSync(path.join(folder, "none")));
  });
}

test("unpackArchive takes a compressed archive, up to a hundred times its size", {
  skip,
}, async () => {
  const file = path.join(folder, "z.tar.gz");
  const packed = async (bytes: number, to: string): Promise<void> => {
    const pack = tar.pack();
    pack.entry({ name: "pages.img" }, Buffer.alloc(bytes));
    pack.finalize();
    writeFileSync(file, gzipSync(await collect(pack)));
    await unpackArchive(file, to, call);
  };
  const to = path.join(folder, "z");
  await packed(500_000, to);
  assert.equal(readFileSync(path.join(to, "pages.img")).length, 500_000);
  await assert.rejects(packed(20_000_000, path.join(folder, "zz")), { code: "RESOURCE_EXHAUSTED" });
});
