// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { chmod, mkdir } from "node:fs/promises";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { silentLogger } from "../../../src/base/logger.ts";
import { makeFifo } from "../../../src/base/os/fifo.ts";
import { mount, unmount } from "../../../src/base/os/mount.ts";
import { MountFlag } from "../../../src/base/os/mount-options.ts";
import { TreeWorker } from "../../../src/trees/tree-worker.ts";
import { fill, immutable, nest } from "../../support/foreign-tree.ts";
import { openFilesOf } from "../../support/processes.ts";
import { scratch } from "../../support/scratch.ts";

const skip = process.getuid?.() === 0 ? false : "needs root";
const call = { signal: new AbortController().signal };

async function setUp(t: TestContext) {
  const home = await scratch({ space: false });
  const worker = new TreeWorker({ name: "berth-test", log: silentLogger, niceness: 0 });
  const place = await home.folder("place");
  const doomed = await home.folder("place", "doomed");
  const outside = await home.folder("outside");
  writeFileSync(path.join(outside, "keep"), "x");
  const before = openFiles();
  t.after(async () => {
    assert.ok(openFiles() <= before, "descriptors were left open");
    await worker[Symbol.asyncDispose]();
    await home[Symbol.asyncDispose]();
  });
  return { worker, place, doomed, outside };
}

/** Of ours, into /tmp: the runner opens others. */
function openFiles(): number {
  return openFilesOf(process.pid).filter((file) => file.includes("/be-")).length;
}

type Build = (doomed: string, outside: string) => void;

const trees: Readonly<Record<string, Build>> = {
  "nothing in it": () => {},
  "30 folders of 200 characters": (doomed) => nest(doomed, 30, "n".repeat(200)),
  "5,000 folders in one another": (doomed) => nest(doomed, 5000, "d"),
  "many deep chains side by side": (doomed) => {
    for (let index = 0; index < 40; index += 1) {
      const top = path.join(doomed, `top-${index}`);
      mkdirSync(top);
      nest(top, 150, "n".repeat(60));
    }
  },
  "20,000 files in a folder": (doomed) => fill(doomed, 20_000),
  "2,000 folders in a folder, each with a file": (doomed) => {
    for (let index = 0; index < 2000; index += 1) {
      mkdirSync(path.join(doomed, String(index)));
      writeFileSync(path.join(doomed, String(index), "file"), "x");
    }
  },
  "names that are not UTF-8": (doomed) => nest(doomed, 30, Buffer.alloc(200, 0xff)),
  "names that look like those a removal gives": (doomed) => nest(doomed, 200, ".berth-deep-1"),
  "links that lead out": (doomed, outside) => {
    symlinkSync(outside, path.join(doomed, "folder"));
    symlinkSync(path.join(outside, "keep"), path.join(doomed, "file"));
    symlinkSync("../../outside", path.join(doomed, "relative"));
    linkSync(path.join(outside, "keep"), path.join(doomed, "hard"));
  },
  "an immutable file": (doomed) => {
    writeFileSync(path.join(doomed, "file"), "x");
    immutable(path.join(doomed, "file"));
  },
  "immutable folders, one of them the tree itself": (doomed) => {
    nest(doomed, 100, "folder");
    immutable(path.join(doomed, "folder/folder"));
    immutable(path.join(doomed, ...Array.from({ length: 60 }, () => "folder")));
    immutable(doomed);
  },
  "a FIFO and a device": (doomed) => {
    makeFifo(path.join(doomed, "fifo"), 0o600);
    execFileSync("mknod", [path.join(doomed, "null"), "c", "1", "3"]);
  },
  "a tmpfs below it, with files": (doomed) => {
    const at = path.join(doomed, "a/b");
    mkdirSync(at, { recursive: true });
    mount({ source: "tmpfs", target: at, type: "tmpfs", flags: 0, data: "" });
    writeFileSync(path.join(at, "in-memory"), "x");
  },
  "folders of the node bound below it, twice, and a file": (doomed, outside) => {
    const at = path.join(doomed, "bound");
    const file = path.join(doomed, "file");
    mkdirSync(at);
    writeFileSync(file, "");
    const bind = { type: "", flags: MountFlag.bind, data: "" };
    mount({ ...bind, source: outside, target: at });
    mount({ ...bind, source: outside, target: at });
    mount({ ...bind, source: path.join(outside, "keep"), target: file });
  },
  "a mount at the tree itself": (doomed, outside) => {
    mount({ source: outside, target: doomed, type: "", flags: MountFlag.bind, data: "" });
  },
};

test("a tree goes, whatever is in it, and nothing beside it", { skip }, async (t) => {
  for (const [name, build] of Object.entries(trees)) {
    await t.test(name, async (sub) => {
      const { worker, place, doomed, outside } = await setUp(sub);
      build(doomed, outside);
      const { left } = await worker.run("remove", { folder: place, name: "doomed" }, call);
      assert.equal(left, undefined);
      assert.deepEqual(readdirSync(place), []);
      assert.deepEqual(readdirSync(outside), ["keep"]);
      assert.ok(!readFileSync("/proc/self/mountinfo", "utf8").includes(place));
    });
  }
});

test("a shared bind of a tree with mounts takes none of them along", { skip }, async (t) => {
  const { worker, place, doomed, outside } = await setUp(t);
  const inner = path.join(outside, "inner");
  const bound = path.join(doomed, "bound");
  await Promise.all([mkdir(inner), mkdir(bound)]);
  mount({ source: "tmpfs", target: outside, type: "tmpfs", flags: 0, data: "" });
  using _mount = { [Symbol.dispose]: () => unmount(outside, { lazy: true }) };
  mount({ source: "", target: outside, type: "", flags: MountFlag.shared, data: "" });
  await mkdir(inner);
  mount({ source: "tmpfs", target: inner, type: "tmpfs", flags: 0, data: "" });
  writeFileSync(path.join(inner, "keep"), "x");
  mount({
    source: outside,
    target: bound,
    type: "",
    flags: 0x1000 | MountFlag.recursive,
    data: "",
  });
  const { left } = await worker.run("remove", { folder: place, name: "doomed" }, call);
  assert.equal(left, undefined);
  assert.deepEqual(readdirSync(inner), ["keep"]);
});

test("what cannot go stays and is told, all else goes", { skip }, async (t) => {
  const { worker, place, doomed } = await setUp(t);
  const held = path.join(doomed, "held");
  await mkdir(held);
  mount({ source: "tmpfs", target: held, type: "tmpfs", flags: 0, data: "" });
  const stuck = path.join(held, "x");
  writeFileSync(stuck, "x");
  mount({ source: "tmpfs", target: held, type: "", flags: 0x20 | MountFlag.readOnly, data: "" });
  // The walk is to begin below the mount, where it can remove nothing.
  const { left } = await worker.run("remove", { folder: held, name: "x" }, call);
  assert.deepEqual(left, { code: "EROFS", name: "x" });
  assert.deepEqual(readdirSync(held), ["x"]);
  fill(doomed, 500);
  nest(doomed, 100, "deep");
  const after = await worker.run("remove", { folder: place, name: "doomed" }, call);
  assert.equal(after.left, undefined);
  assert.ok(!existsSync(doomed));
});

test("what is not there is gone", { skip }, async (t) => {
  const { worker, place } = await setUp(t);
  const { left } = await worker.run("remove", { folder: place, name: "nothing" }, call);
  assert.equal(left, undefined);
  const elsewhere = { folder: path.join(place, "no/such"), name: "x" };
  assert.equal((await worker.run("remove", elsewhere, call)).left, undefined);
});

test("a cancelled removal leaves no descriptor, and the rest can go later", { skip }, async (t) => {
  const { worker, place, doomed } = await setUp(t);
  await chmod(doomed, 0o755);
  fill(doomed, 30_000);
  const abort = new AbortController();
  const running = worker.run("remove", { folder: place, name: "doomed" }, abort);
  const other = worker.run("measure", { folder: place }, call);
  abort.abort(new Error("enough"));
  await assert.rejects(running, /enough/);
  await other;
  assert.ok(existsSync(doomed));
  await worker.run("remove", { folder: place, name: "doomed" }, call);
  assert.ok(!existsSync(doomed));
});
