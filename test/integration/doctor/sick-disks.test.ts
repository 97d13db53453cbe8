// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { suite, test } from "node:test";
import { mount, unmount } from "../../../src/base/os/mount.ts";
import { makeNode } from "../../support/doctor/made-node.ts";
import { lacking } from "../../support/lacking.ts";
import { must } from "../../support/run.ts";

/** A node whose root folder is a disk of its own. */
async function nodeWithDisk(data: string, folder = "var/lib/berthd") {
  await using undo = new AsyncDisposableStack();
  const node = undo.use(await makeNode());
  const target = path.join(node.root, folder);
  mount({ source: "tmpfs", target, type: "tmpfs", flags: 0, data });
  undo.defer(() => void unmount(target, { lazy: true }));
  const owned = undo.move();
  const found = async (says: RegExp) => {
    const { findings } = await node.examine("--only", "disk");
    return findings.filter(({ what }) => says.test(what));
  };
  return { target, root: node.root, found, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

type NodeWithDisk = Awaited<ReturnType<typeof nodeWithDisk>>;

/** It is told of, and what the doctor prints last makes it writable again. */
async function turnsReadOnly(node: NodeWithDisk, folder: string, says: RegExp): Promise<void> {
  await must("mount", ["-o", "remount,ro", node.target]);
  const [finding] = await node.found(says);
  assert.equal(finding?.level, "error");
  const mend = finding.mend.split("; ").at(-1) ?? "";
  assert.equal(mend, `mount -o remount,rw '${folder}'`);
  await must("sh", ["-c", mend.replace(`'${folder}'`, `'${node.target}'`)]);
  assert.deepEqual(await node.found(says), []);
}

suite("a doctor of disks", { skip: lacking() }, () => {
  test("names one without inodes, and shows where they are", async () => {
    await using node = await nodeWithDisk("size=64m,nr_inodes=30");
    const says = /root folder \/var\/lib\/berthd has 0 of 30 inodes left/;
    assert.deepEqual(await node.found(says), []);
    for (let at = 0; at < 29; at += 1) await writeFile(path.join(node.target, `f${at}`), "");
    const [finding] = await node.found(says);
    assert.equal(finding?.level, "error");
    const [prune, show = ""] = finding.mend.split("; ");
    assert.equal(prune, "berth image prune");
    const shown = await must("sh", ["-c", show.replace("/var/lib/berthd", `'${node.target}'`)]);
    assert.match(shown, /^30\t/);
    await must("sh", ["-c", `rm '${node.target}'/f*`]);
    assert.deepEqual(await node.found(/inodes left/), []);
  });

  test("names one that is read-only, and what it prints mends it", async () => {
    await using node = await nodeWithDisk("size=64m");
    const says = /root folder \/var\/lib\/berthd lies on a file system that is read-only/;
    await turnsReadOnly(node, "/var/lib/berthd", says);
  });

  test("names a state folder that is full, and where the space went", async () => {
    await using node = await nodeWithDisk("size=1m", "run/berthd");
    const says = /state folder \/run\/berthd has 0\.0 GiB of 0\.0 GiB left/;
    const before = await node.found(says);
    assert.deepEqual(
      before.filter(({ level }) => level !== "ok"),
      [],
    );
    await writeFile(path.join(node.target, "much"), Buffer.alloc(1024 * 1024 - 8192));
    const [finding] = await node.found(says);
    assert.equal(finding?.level, "error");
    const shown = await must("sh", ["-c", finding.mend.replace("/run/berthd", `'${node.target}'`)]);
    assert.match(shown, /^\S+M?\t/);
  });

  test("names a folder of logs that is read-only, and what it prints mends it", async () => {
    await using node = await nodeWithDisk("size=4m", "var/log/pods");
    const says = /logs folder \/var\/log\/pods lies on a file system that is read-only/;
    assert.deepEqual(await node.found(says), []);
    await turnsReadOnly(node, "/var/log/pods", says);
  });
});
