// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { PassThrough, Readable } from "node:stream";
import test, { type TestContext } from "node:test";
import { removeFolderSync } from "../../base/remove-folder.ts";
import { type NewTarEntry, tarEnd, tarHeader, tarPadding } from "../../images/tar/tar-writer.ts";
import { packTree } from "./pack-tree.ts";
import { unpackTree } from "./unpack-tree.ts";

function scratch(t: TestContext): string {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "berth cp "));
  t.after(() => removeFolderSync(folder));
  return fs.realpathSync(folder);
}

interface Entry {
  readonly name: string;
  readonly type?: NewTarEntry["type"];
  readonly linkName?: string;
  readonly mode?: number;
  readonly body?: string;
  readonly xattrs?: NewTarEntry["xattrs"];
}

function bytesOf(entries: readonly Entry[]): Buffer {
  const common = { linkName: "", uid: 0, gid: 0, major: 0, minor: 0, xattrs: new Map() };
  const members = entries.flatMap(({ body = "", ...entry }) => [
    tarHeader({
      ...common,
      type: "file",
      mode: 0o644,
      size: body.length,
      mtime: { seconds: 1_000_000, nanos: 500_000_000 },
      ...entry,
    }),
    Buffer.from(body),
    tarPadding(body.length),
  ]);
  return Buffer.concat([...members, tarEnd]);
}

const archiveOf = (entries: readonly Entry[]): Readable => Readable.from([bytesOf(entries)]);

/** A tree with one of each thing, and what must have come of it. */
for (const longNames of ["pax", "gnu"] as const) {
  test(`a tree comes back as it went, with ${longNames}`, async (t) => {
    const root = scratch(t);
    const source = path.join(root, "source");
    const odd = Buffer.from([0x6f, 0xff, 0x0a, 0x64]);
    const at = (folder: string, name: Buffer): Buffer =>
      Buffer.concat([Buffer.from(`${folder}/`), name]);
    const long = `${"long".repeat(50)}/${"name".repeat(50)}`;
    fs.mkdirSync(path.dirname(path.join(source, long)), { recursive: true });
    fs.writeFileSync(path.join(source, "a b"), "alpha", { mode: 0o700 });
    fs.writeFileSync(path.join(source, long), "");
    fs.writeFileSync(at(source, odd), "odd");
    fs.symlinkSync("a b", path.join(source, "link"));
    fs.symlinkSync("/etc/passwd", path.join(source, "out"));
    fs.linkSync(path.join(source, "a b"), path.join(source, "z"));
    fs.utimesSync(path.join(source, "a b"), 1, 1_000_000);
    fs.utimesSync(source, 1, 2_000_000);
    const target = path.join(root, "target");
    const through = new PassThrough();
    const skipped: string[] = [];
    const onSkip = (what: string): void => void skipped.push(what);
    await Promise.all([
      packTree(source, "tree", through, { longNames, onSkip }),
      unpackTree(through, "tree", target, onSkip),
    ]);
    const files = ["a b", "link", path.dirname(long), "z"];
    assert.deepEqual(
      fs.readdirSync(target, "buffer").map(String).sort(),
      [...files, odd.toString()].sort(),
    );
    assert.equal(fs.readFileSync(at(target, odd), "utf8"), "odd");
    assert.equal(fs.readFileSync(path.join(target, "a b"), "utf8"), "alpha");
    const [file, hard] = ["a b", "z"].map((name) => fs.statSync(path.join(target, name)));
    assert.deepEqual([file?.mode, file?.mtimeMs], [0o100700, 1_000_000_000]);
    assert.equal(hard?.ino, file?.ino);
    assert.equal(fs.readlinkSync(path.join(target, "link")), "a b");
    assert.equal(fs.statSync(target).mtimeMs, 2_000_000_000);
    assert.ok(fs.existsSync(path.join(target, long)));
    assert.deepEqual(skipped, ["tree/out: a link that leads out"]);
  });
}

const links: readonly (readonly [at: string, target: string, isKept: boolean])[] = [
  ["tree/l", "a/b", true],
  ["tree/d/l", "../a", true],
  ["tree/d/e/l", "../../a/./b", true],
  ["tree/l", "..", false],
  ["tree/d/l", "../..", false],
  ["tree/l", "d/../..", false],
  ["tree/l", "d/..", false], // d may be a link itself
  ["tree/l", "/etc/passwd", false],
  ["tree", "a", false],
];
for (const [at, linkName, isKept] of links) {
  test(`a link at ${at} to ${linkName} is ${isKept ? "kept" : "left out, with a word"}`, async (t) => {
    const target = path.join(scratch(t), "tree");
    const skipped: string[] = [];
    const entries: Entry[] = [{ name: at, type: "symlink", linkName }, { name: "tree/file" }];
    await unpackTree(archiveOf(entries), "tree", target, (what) => skipped.push(what));
    assert.deepEqual(skipped, isKept ? [] : [`${at}: a link that leads out`]);
  });
}

test("what would be dangerous on this machine does not come along, and is told", async (t) => {
  const target = path.join(scratch(t), "tree");
  const skipped: string[] = [];
  const entries: Entry[] = [
    { name: "tree/su", mode: 0o6755, xattrs: new Map([["security.capability", Buffer.alloc(20)]]) },
    { name: "tree/null", type: "character" },
    { name: "tree/fifo", type: "fifo" },
    { name: "tree/hard", type: "hardlink", linkName: "tree/none" },
  ];
  await unpackTree(archiveOf(entries), "tree", target, (what) => skipped.push(what));
  assert.equal(fs.statSync(path.join(target, "su")).mode & 0o7777, 0o755);
  assert.deepEqual(fs.readdirSync(target), ["su"]);
  assert.deepEqual(skipped, [
    "tree/su: its capabilities",
    "tree/null: a character",
    "tree/fifo: a fifo",
    "tree/hard: a hardlink",
  ]);
});

const broken: readonly (readonly [name: string, pieces: () => Iterable<Buffer>])[] = [
  ["is cut off", () => [bytesOf([{ name: "tree/a", body: "x".repeat(2000) }]).subarray(0, 1500)]],
  ["is no archive", () => [Buffer.from("no archive ".repeat(100))]],
  [
    "never ends",
    function* () {
      yield bytesOf([{ name: "tree/a" }]);
      for (;;) yield Buffer.alloc(64 * 1024);
    },
  ],
];
for (const [name, pieces] of broken) {
  test(`an archive that ${name} is an error`, async (t) => {
    const target = path.join(scratch(t), "tree");
    const unpacking = unpackTree(Readable.from(pieces()), "tree", target, () => {});
    await assert.rejects(unpacking, { code: "INVALID_ARGUMENT" });
  });
}

const hostile: { readonly name: string; readonly entries: readonly Entry[] }[] = [
  { name: "another tree", entries: [{ name: "other/file", body: "x" }] },
  { name: "an absolute name", entries: [{ name: "/etc/file", body: "x" }] },
  { name: "the folder above", entries: [{ name: "tree/../../file", body: "x" }] },
  { name: "a link that is there", entries: [{ name: "tree/out/file", body: "x" }] },
  { name: "folders below a link that is there", entries: [{ name: "tree/out/a/b/c", body: "x" }] },
  {
    name: "a link of its own",
    entries: [
      { name: "tree/l", type: "symlink", linkName: "../../outside" },
      { name: "tree/../tree/l/file", body: "x" },
    ],
  },
  {
    name: "a link of its own inside of the tree",
    entries: [
      { name: "tree/d", type: "directory" },
      { name: "tree/l", type: "symlink", linkName: "d" },
      { name: "tree/l/file", body: "x" },
    ],
  },
  {
    name: "a hard link's target elsewhere",
    entries: [{ name: "tree/x", type: "hardlink", linkName: "/etc/passwd" }],
  },
  {
    name: "a hard link through a link that is there",
    entries: [{ name: "tree/x", type: "hardlink", linkName: "tree/out/secret" }],
  },
];
for (const { name, entries } of hostile) {
  test(`what would go into ${name} is refused, and nothing is made`, async (t) => {
    const root = scratch(t);
    const [target, outside] = [path.join(root, "t/tree"), path.join(root, "outside")];
    fs.mkdirSync(target, { recursive: true });
    fs.mkdirSync(outside);
    fs.writeFileSync(path.join(outside, "secret"), "secret");
    fs.symlinkSync(outside, path.join(target, "out"));
    await assert.rejects(
      unpackTree(archiveOf(entries), "tree", target, () => {}),
      { code: "FAILED_PRECONDITION" },
    );
    assert.deepEqual(fs.readdirSync(outside), ["secret"]);
    assert.deepEqual(fs.readdirSync(root).sort(), ["outside", "t"]);
  });
}

test("a file that is a link is replaced, not written through", async (t) => {
  const root = scratch(t);
  fs.mkdirSync(path.join(root, "tree"));
  fs.writeFileSync(path.join(root, "precious"), "kept");
  fs.symlinkSync(path.join(root, "precious"), path.join(root, "tree/file"));
  const archive = archiveOf([{ name: "tree/file", body: "new" }]);
  await unpackTree(archive, "tree", path.join(root, "tree"), () => {});
  assert.equal(fs.readFileSync(path.join(root, "precious"), "utf8"), "kept");
  assert.equal(fs.readFileSync(path.join(root, "tree/file"), "utf8"), "new");
});

test("an archive with nothing in it is an error", async (t) => {
  const target = path.join(scratch(t), "tree");
  await assert.rejects(
    unpackTree(archiveOf([]), "tree", target, () => {}),
    { code: "NOT_FOUND" },
  );
});
