// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { PassThrough } from "node:stream";
import test, { type TestContext } from "node:test";
import { pack } from "tar-stream";
import { packTree } from "./pack-tree.ts";
import { unpackTree } from "./unpack-tree.ts";

function scratch(t: TestContext): string {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "berth cp "));
  t.after(() => fs.rmSync(folder, { recursive: true }));
  return fs.realpathSync(folder);
}

type Entry = Parameters<ReturnType<typeof pack>["entry"]>[0] & { readonly body?: string };

function archiveOf(entries: readonly Entry[]): PassThrough {
  const archive = pack();
  for (const { body = "", ...header } of entries) archive.entry(header, body);
  archive.finalize();
  const out = new PassThrough();
  archive.on("data", (piece) => void out.write(piece)).on("end", () => void out.end());
  return out;
}

test("a tree comes back as it went, links left out", async (t) => {
  const root = scratch(t);
  const source = path.join(root, "source");
  fs.mkdirSync(path.join(source, "sub"), { recursive: true });
  fs.writeFileSync(path.join(source, "a b"), "alpha", { mode: 0o700 });
  fs.writeFileSync(path.join(source, "sub/empty"), "");
  fs.symlinkSync("a b", path.join(source, "link"));
  const target = path.join(root, "target");
  const through = new PassThrough();
  const skipped: string[] = [];
  await Promise.all([
    packTree(source, "tree", through),
    unpackTree(through, "tree", target, (what) => skipped.push(what)),
  ]);
  const made = fs.readdirSync(target, { recursive: true }).map(String).sort();
  assert.deepEqual(made, ["a b", "sub", "sub/empty"]);
  assert.equal(fs.readFileSync(path.join(target, "a b"), "utf8"), "alpha");
  assert.equal(fs.statSync(path.join(target, "a b")).mode & 0o777, 0o700);
  assert.deepEqual(skipped, ["tree/link: a symlink"]);
});

const hostile: { readonly name: string; readonly entries: readonly Entry[] }[] = [
  { name: "another tree", entries: [{ name: "other/file", body: "x" }] },
  { name: "an absolute name", entries: [{ name: "/etc/file", body: "x" }] },
  { name: "the folder above", entries: [{ name: "tree/../../file", body: "x" }] },
  { name: "a link that is there", entries: [{ name: "tree/out/file", body: "x" }] },
  { name: "folders below a link that is there", entries: [{ name: "tree/out/a/b/c", body: "x" }] },
];
for (const { name, entries } of hostile) {
  test(`what would go into ${name} is refused, and nothing is made`, async (t) => {
    const root = scratch(t);
    const [target, outside] = [path.join(root, "t/tree"), path.join(root, "outside")];
    fs.mkdirSync(target, { recursive: true });
    fs.mkdirSync(outside);
    fs.symlinkSync(outside, path.join(target, "out"));
    await assert.rejects(
      unpackTree(archiveOf(entries), "tree", target, () => {}),
      { code: "FAILED_PRECONDITION" },
    );
    assert.deepEqual(fs.readdirSync(outside), []);
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
