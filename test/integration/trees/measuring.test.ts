// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  linkSync,
  mkdirSync,
  renameSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { silentLogger } from "../../../src/base/logger.ts";
import { mount, unmount } from "../../../src/base/os/mount.ts";
import { Descriptors } from "../../../src/trees/descriptors.ts";
import { measureTree, type TreeUsage } from "../../../src/trees/measure-tree.ts";
import { workHere } from "../../../src/trees/run-here.ts";
import { TreeWorker } from "../../../src/trees/tree-worker.ts";
import { fill, nest } from "../../support/foreign-tree.ts";
import { openFilesOf } from "../../support/processes.ts";
import { scratch } from "../../support/scratch.ts";

const skip = process.getuid?.() === 0 ? false : "needs root";
const call = { signal: new AbortController().signal };

async function setUp(t: TestContext) {
  const home = await scratch({ space: false });
  const worker = new TreeWorker({ name: "berth-test", log: silentLogger, niceness: 0 });
  const folder = await home.folder("tree");
  t.after(async () => {
    await worker.run("remove", { folder: home.path, name: "tree" }, call);
    await worker[Symbol.asyncDispose]();
    await home[Symbol.asyncDispose]();
  });
  return { folder, measure: () => worker.run("measure", { folder }, call) };
}

/** What du tells: it counts by other means. */
function du(folder: string): { blocks: number; inodes: number } {
  const first = (...args: readonly string[]): number =>
    Number(execFileSync("du", ["-sx", ...args, folder], { encoding: "utf8" }).split("\t")[0]);
  return { blocks: first("-B512"), inodes: first("--inodes") };
}

const trees: Readonly<Record<string, (folder: string) => void>> = {
  "nothing in it": () => {},
  "files and folders": (folder) => {
    fill(folder, 3000);
    for (let index = 0; index < 300; index += 1) mkdirSync(path.join(folder, `d${index}`));
    writeFileSync(path.join(folder, "big"), Buffer.alloc(1_000_000, 1));
  },
  "20 folders of 200 characters and data below": (folder) =>
    nest(folder, 20, "n".repeat(200), 500_000),
  "names that are not UTF-8": (folder) => nest(folder, 30, Buffer.alloc(255, 0xff), 300_000),
  "2,000 folders in one another, and more beside each": (folder) => {
    nest(folder, 2000, "d", 100_000);
    fill(path.join(folder, "d"), 2000);
    fill(path.join(folder, "d/d"), 700);
    mkdirSync(path.join(folder, "d/d/e"));
  },
  "hard links": (folder) => {
    for (let index = 0; index < 3000; index += 1) {
      writeFileSync(path.join(folder, `f${index}`), "x");
      linkSync(path.join(folder, `f${index}`), path.join(folder, `g${index}`));
      if (index % 3 === 0) linkSync(path.join(folder, `f${index}`), path.join(folder, `h${index}`));
    }
  },
  "a sparse file": (folder) => {
    writeFileSync(path.join(folder, "sparse"), "x");
    truncateSync(path.join(folder, "sparse"), 10 * 2 ** 30);
  },
};

test("a tree takes what du says, whatever is in it", { skip }, async (t) => {
  for (const [name, build] of Object.entries(trees)) {
    await t.test(name, async (sub) => {
      const { folder, measure } = await setUp(sub);
      build(folder);
      assert.deepEqual(await measure(), { ...du(folder), isWhole: true });
    });
  }
});

test("what is mounted below is not counted, and not walked", { skip }, async (t) => {
  const { folder, measure } = await setUp(t);
  const at = path.join(folder, "a");
  mkdirSync(at);
  const before = await measure();
  mount({ source: "tmpfs", target: at, type: "tmpfs", flags: 0, data: "" });
  t.after(() => unmount(at));
  fill(at, 100);
  const { inodes } = await measure();
  assert.equal(inodes, before.inodes - 1); // of the folder below the mount, which nobody can reach
});

test("a folder that is not there is an error", { skip }, async () => {
  await using worker = new TreeWorker({ name: "berth-test", log: silentLogger, niceness: 0 });
  await assert.rejects(worker.run("measure", { folder: "/no/such" }, call), /ENOENT/);
});

/** A chain of 70 folders: files at its end, in the middle beside what goes on, and a place to move to. */
function chain(folder: string): { readonly middle: string; readonly aside: string } {
  const at = (depth: number): string => path.join(folder, ...Array<string>(depth).fill("d"));
  nest(folder, 70, "d");
  fill(at(70), 300);
  for (const depth of [0, 2, 5, 10, 19, 30]) {
    for (let index = 0; index < 40; index += 1) {
      mkdirSync(path.join(at(depth), `e${index}`));
      if (depth !== 19) fill(path.join(at(depth), `e${index}`), 10);
    }
  }
  return { middle: at(20), aside: path.join(at(1), "aside") };
}

/** Measures step by step; once it is at the chain's end, the rest of the chain is moved away under it. */
function measureMoved(folder: string): TreeUsage {
  const { middle, aside } = chain(folder);
  const job = measureTree({ folder }, new Descriptors());
  let isMoved = false;
  for (;;) {
    const step = job.next();
    if (step.done === true) {
      assert.ok(isMoved);
      return step.value;
    }
    const isAtEnd = openFilesOf(process.pid).some((file) =>
      file.startsWith(`${folder}${"/d".repeat(70)}`),
    );
    if (isMoved || !isAtEnd) continue;
    renameSync(middle, aside);
    isMoved = true;
  }
}

test("nothing hides by a rename in the middle of a deep path", { skip }, async (t) => {
  await t.test("all is counted where folders have handles", async (sub) => {
    const { folder } = await setUp(sub);
    const { blocks, inodes, isWhole } = measureMoved(folder);
    const whole = du(folder);
    assert.equal(isWhole, true);
    // What was moved may have been met twice.
    assert.ok(blocks >= whole.blocks && inodes >= whole.inodes, `${inodes} of ${whole.inodes}`);
  });

  await t.test("where they have none, all but what is beside the moved", async (sub) => {
    const { folder: below } = await setUp(sub);
    const parts = ["lower", "upper", "work", "tree"].map((name) => path.join(below, name));
    for (const part of parts) mkdirSync(part);
    const [lower, upper, work, tree = ""] = parts;
    const data = `lowerdir=${lower},upperdir=${upper},workdir=${work}`;
    mount({ source: "overlay", target: tree, type: "overlay", flags: 0, data });
    sub.after(() => unmount(tree));
    const { inodes, isWhole } = measureMoved(tree);
    assert.equal(isWhole, false);
    // Of the 40 folders at depth 19 some may be missing.
    const missing = du(tree).inodes - inodes;
    assert.ok(missing >= 0 && missing <= 40, `${missing} are missing`);
  });
});

test("whoever is in a tree does not see where a walk is", { skip }, async (t) => {
  const { folder, measure } = await setUp(t);
  const folders = [folder, path.join(folder, "d"), path.join(folder, "d/d")];
  nest(folder, 2, "d");
  for (const each of folders) utimesSync(each, 1000, 2000);
  await measure();
  for (const each of folders) assert.equal(statSync(each).atimeMs, 1_000_000, each);
});

test("a walk that takes too long answers what it found", { skip }, async (t) => {
  const { folder } = await setUp(t);
  fill(folder, 1000);
  const request = { folder, longestMs: 0 };
  assert.deepEqual(await workHere().run("measure", request, call), {
    blocks: du(folder).blocks,
    inodes: 65,
    isWhole: false,
  });
});
