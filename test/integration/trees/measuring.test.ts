// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { linkSync, mkdirSync, truncateSync, writeFileSync } from "node:fs";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { silentLogger } from "../../../src/base/logger.ts";
import { mount, unmount } from "../../../src/base/os/mount.ts";
import { TreeWorker } from "../../../src/trees/tree-worker.ts";
import { fill, nest } from "../../support/foreign-tree.ts";
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
