// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { gzipSync } from "node:zlib";
import tar from "tar-stream";
import { removeFolderSync } from "../../../src/base/remove-folder.ts";
import { packFolder } from "../../../src/checkpoint/folder-tar.ts";
import { readImageNames } from "../../../src/cri/checkpoint/open-checkpoint.ts";
import { type Extractor, startExtractor } from "../../../src/images/unpack/extract-layer.ts";
import { ByteSource } from "../byte-source.ts";
import { scratchFolder } from "../scratch-folder.ts";
import { type FuzzTarget, refused } from "../target.ts";

const maxEntries = 12;
const maxBytes = 1024 * 1024;
const config = JSON.stringify({
  id: "c",
  rootfsImage: "i",
  rootfsImageRef: "i@sha256:a",
  rootfsImageName: "docker.io/i",
});
let extractor: Extractor | undefined;
let ending: NodeJS.Timeout | undefined;

/**
 * Archives of checkpoints, as they come from anywhere: files and folders only, inside the folder only, no more than
 * may be; what was packed is what is unpacked. What an archive says of its image is text.
 */
export const target: FuzzTarget = {
  name: "checkpoint-archive",
  parses: ["src/checkpoint/checkpoint-archive.ts", "src/cri/checkpoint/open-checkpoint.ts"],
  dictionary: [
    "ustar",
    "../",
    "/",
    "config.dump",
    "checkpoint",
    "\x30\x30\x30",
    "rootfsImage",
    "GNUSparse",
    "path=",
  ],
  maxBytes: 16_384,
  seeds: async function* () {
    // Its process loads its program, which is not what an input takes.
    if (process.getuid?.() === 0) await unpack(Buffer.alloc(0), prepare());
    yield Buffer.from([1, 4, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3]);
    yield Buffer.concat([
      Buffer.from([0]),
      await packed([
        { name: "config.dump", content: config },
        { name: "checkpoint", type: "directory" },
        { name: "checkpoint/core-1.img", content: "core" },
      ]),
    ]);
    yield Buffer.concat([
      Buffer.from([0]),
      await packed([{ name: "link", type: "symlink", linkname: "/etc" }]),
    ]);
    yield Buffer.concat([
      Buffer.from([0]),
      gzipSync(await packed([{ name: "../out", content: "x" }])),
    ]);
  },
  run: async (input) => {
    if (process.getuid?.() !== 0) return; // the archive is unpacked in a chroot
    const source = new ByteSource(input);
    const place = prepare();
    try {
      if (source.bool()) await checkDrawn(source, place);
      else await checkAny(source.rest(), place);
    } finally {
      checkOutside(place);
    }
  },
};

interface Member {
  readonly name: string;
  readonly type?: "file" | "directory" | "symlink" | "link" | "fifo";
  readonly linkname?: string;
  readonly content?: string;
}

async function checkDrawn(source: ByteSource, place: string): Promise<void> {
  const members = source.list(16, (): Member => {
    const name = source.pick([
      "config.dump",
      "checkpoint",
      "checkpoint/a",
      "b/c/d",
      "./e",
      "f/",
      "../out",
      "/abs",
      "g/../../h",
      "x".repeat(120),
      "é",
      ".wh.config.dump",
    ]);
    const type = source.pick([
      "file",
      "file",
      "file",
      "directory",
      "symlink",
      "link",
      "fifo",
    ] as const);
    const content = source.pick(["", "x", config, "y".repeat(3000)]);
    return {
      name,
      type,
      linkname: source.pick(["/etc/passwd", "config.dump", "../../canary"]),
      content,
    };
  });
  const bytes = await packed(members);
  const isDone = await unpack(source.bool() ? gzipSync(bytes) : bytes, place);
  const isHostile = members.some(
    ({ name, type }) =>
      !["file", "directory"].includes(type ?? "file") ||
      path.posix.normalize(name).startsWith(".."),
  );
  if (isHostile) assert.equal(isDone, false, "a way out, or what is no file");
  if (members.length > maxEntries) assert.equal(isDone, false, "more than may be");
  if (isDone) await checkRepacked(place);
}

/** Packed and unpacked again it is the same. */
async function checkRepacked(place: string): Promise<void> {
  const before = contentsOf(path.join(place, "out"));
  const chunks: Uint8Array[] = [];
  for await (const chunk of packFolder(path.join(place, "out"))) chunks.push(chunk);
  removeFolderSync(path.join(place, "out"));
  mkdirSync(path.join(place, "out"));
  assert.ok(await unpack(Buffer.concat(chunks), place));
  assert.deepEqual(contentsOf(path.join(place, "out")), before);
}

async function checkAny(bytes: Buffer, place: string): Promise<void> {
  await unpack(bytes, place);
  await checkNames(path.join(place, "out"));
  // And as the description of a checkpoint.
  const described = path.join(place, "out");
  removeFolderSync(described);
  mkdirSync(path.join(described, "checkpoint"), { recursive: true });
  writeFileSync(path.join(described, "config.dump"), bytes);
  await checkNames(described);
}

async function checkNames(folder: string): Promise<void> {
  try {
    for (const name of Object.values(await readImageNames(folder)))
      assert.equal(typeof name, "string");
    const facts: unknown = JSON.parse(readFileSync(path.join(folder, "config.dump"), "utf8"));
    assert.ok(
      typeof facts === "object" ||
        typeof facts === "string" ||
        typeof facts === "number" ||
        typeof facts === "boolean",
    );
  } catch (error) {
    refused(error, "INVALID_ARGUMENT");
  }
}

async function unpack(bytes: Buffer, place: string): Promise<boolean> {
  const blob = path.join(place, "blob");
  writeFileSync(blob, bytes);
  clearTimeout(ending);
  extractor ??= startExtractor();
  try {
    const plain = { entries: maxEntries, totalBytes: maxBytes };
    await extractor.extract(
      { blob, root: path.join(place, "out"), whiteouts: "remove", plain },
      { signal: AbortSignal.timeout(10_000) },
    );
    return true;
  } catch (error) {
    refused(error, "INVALID_ARGUMENT", "RESOURCE_EXHAUSTED");
    return false; // the process goes on: what was refused leaves it as it was
  } finally {
    // A process that is kept for the next input would keep this one from ending.
    ending = setTimeout(() => {
      extractor?.[Symbol.dispose]();
      extractor = undefined;
    }, 2_000);
    const all = Object.values(contentsOf(path.join(place, "out")));
    assert.ok(
      all.length <= maxEntries + 64,
      "no more than may be, and the folders that lead there",
    );
    assert.ok(all.reduce((sum, content) => sum + content.length, 0) <= maxBytes + 64 * 1024);
  }
}

/** Files and folders by name, and what is in them; nothing else may be there. */
function contentsOf(folder: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of readdirSync(folder, { recursive: true, encoding: "latin1" }).sort()) {
    const file = Buffer.concat([Buffer.from(`${folder}/`), Buffer.from(name, "latin1")]);
    const facts = lstatSync(file);
    assert.ok(facts.isFile() || facts.isDirectory(), "neither a file nor a folder");
    assert.equal(facts.nlink > 1 && facts.isFile(), false, "a link");
    found[name] = facts.isFile() ? readFileSync(file, "latin1") : "/";
  }
  return found;
}

function prepare(): string {
  const place = scratchFolder("checkpoint-archive");
  removeFolderSync(path.join(place, "out"));
  mkdirSync(path.join(place, "out"));
  writeFileSync(path.join(place, "canary"), "alive");
  return place;
}

function checkOutside(place: string): void {
  assert.deepEqual(
    readdirSync(place).sort(),
    ["blob", "canary", "out"].filter((name) => existsSync(path.join(place, name))),
  );
  assert.equal(readFileSync(path.join(place, "canary"), "utf8"), "alive");
  assert.ok(!existsSync(path.join(path.dirname(place), "out")));
}

async function packed(members: readonly Member[]): Promise<Buffer> {
  const pack = tar.pack();
  for (const { name, type = "file", linkname = "", content = "" } of members) {
    pack.entry(
      { name, type, ...(type === "symlink" || type === "link" ? { linkname } : {}) },
      type === "file" ? content : "",
    );
  }
  pack.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of pack) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
