// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import test, { type TestContext } from "node:test";
import { silentLogger } from "../../../src/base/logger.ts";
import { run } from "../../../src/base/process.ts";
import { PinnedNamespaces } from "../../../src/network/pinned-namespaces.ts";
import { pauseBinaryPath } from "../../../src/pause/pause-binary.ts";
import { allMounts } from "../../support/mounts.ts";

const call = { signal: AbortSignal.timeout(300_000) };
const skip = process.getuid?.() === 0 ? false : "needs root";

function setUp(t: TestContext): { folder: string; namespaces: PinnedNamespaces } {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), "berth netns "));
  const folder = path.join(root, "net ns");
  const namespaces = new PinnedNamespaces({
    folder,
    program: pauseBinaryPath(),
    log: silentLogger,
  });
  t.after(async () => {
    await namespaces.removeAll(call);
    await namespaces[Symbol.asyncDispose]();
    fs.rmdirSync(root);
    const left = (await allMounts()).filter((entry) => entry.mountPoint.startsWith(root));
    assert.deepEqual(left, []);
  });
  return { folder, namespaces };
}

async function inside(file: string, ...command: readonly string[]): Promise<string> {
  const { stdout } = await run("nsenter", [`--net=${file}`, ...command]);
  return stdout.toString("utf8");
}

test("NetworkNamespaces makes a namespace of its own with lo up", { skip }, async (t) => {
  const { namespaces } = setUp(t);
  const host = fs.readlinkSync("/proc/self/ns/net");
  const file = await namespaces.create("one", call);
  assert.equal(await namespaces.isAlive(file), true);
  const link = (await inside(file, "readlink", "/proc/self/ns/net")).trim();
  assert.notEqual(link, host);
  assert.match(await inside(file, "cat", "/proc/net/dev"), /lo:/);
  assert.match(await inside(file, "ip", "-o", "link", "show", "lo"), /LOOPBACK,UP/);
  assert.equal(fs.readlinkSync("/proc/thread-self/ns/net"), host);
  await namespaces.remove(file, call);
  await namespaces.remove(file, call);
  await namespaces.remove("", call);
  assert.equal(await namespaces.isAlive(file), false);
  assert.equal(fs.existsSync(file), false);
});

test("NetworkNamespaces makes one that a user namespace owns", { skip }, async (t) => {
  const { folder, namespaces } = setUp(t);
  const ids = [{ containerID: 0, hostID: 1_000_000, size: 65_536 }];
  const file = await namespaces.create("owned", call, { uids: ids, gids: ids });
  assert.deepEqual(await namespaces.list(), [file]);
  assert.match(await inside(file, "ip", "-o", "link", "show", "lo"), /LOOPBACK,UP/);
  const { stdout } = await run("nsenter", [
    `--net=${file}`,
    `--user=${file}.user`,
    "--setuid=0",
    "unshare",
    "--mount",
    "sh",
    "-c",
    "cat /proc/self/uid_map && mount -t sysfs sysfs /sys && ls /sys/class/net",
  ]);
  assert.deepEqual(stdout.toString("utf8").trim().split(/\s+/), ["0", "1000000", "65536", "lo"]);
  await namespaces.remove(file, call);
  assert.deepEqual(fs.readdirSync(folder), []);
});

test("NetworkNamespaces leaves nothing of ids that the kernel refuses", { skip }, async (t) => {
  const { folder, namespaces } = setUp(t);
  const ids = [{ containerID: 0, hostID: 4_294_967_295, size: 2 }];
  await assert.rejects(namespaces.create("bad", call, { uids: ids, gids: ids }), {
    code: "FAILED_PRECONDITION",
    message: /refuses the ids "0 4294967295 2"/,
  });
  assert.deepEqual(fs.readdirSync(folder), []);
});

test("NetworkNamespaces makes many, each one different, and lists them", { skip }, async (t) => {
  const { folder, namespaces } = setUp(t);
  const ids = Array.from({ length: 20 }, (_, index) => `ns-${String(index).padStart(2, "0")}`);
  const files = await Promise.all(ids.map((id) => namespaces.create(id, call)));
  assert.deepEqual(
    files,
    ids.map((id) => path.join(folder, id)),
  );
  assert.deepEqual(await namespaces.list(), files);
  const inodes = new Set(files.map((file) => fs.statSync(file).ino));
  assert.equal(inodes.size, ids.length);
});

test("NetworkNamespaces keeps the folder a shared mount of its own across instances", {
  skip,
}, async (t) => {
  const { folder, namespaces: next } = setUp(t);
  const first = new PinnedNamespaces({ folder, program: pauseBinaryPath(), log: silentLogger });
  const file = await first.create("kept", call);
  await first[Symbol.asyncDispose]();
  assert.equal(await first.isAlive(file), true);
  await assert.rejects(first.remove(file, call), /berthd is stopping/, "no thread for it any more");
  await next.create("second", call);
  const mounts = (await allMounts()).filter((entry) => entry.mountPoint === folder);
  assert.equal(mounts.length, 1);
  assert.match(mounts[0]?.propagation.join(" ") ?? "", /shared:/);
});

test("NetworkNamespaces removes one that a process is in", { skip }, async (t) => {
  const { namespaces } = setUp(t);
  const file = await namespaces.create("busy", call);
  const fd = fs.openSync(file, "r");
  t.after(() => fs.closeSync(fd));
  await namespaces.remove(file, call);
  assert.equal(fs.existsSync(file), false);
});

test("NetworkNamespaces refuses ids that exist or are no file names", { skip }, async (t) => {
  const { namespaces } = setUp(t);
  await namespaces.create("twice", call);
  await assert.rejects(namespaces.create("twice", call), { code: "ALREADY_EXISTS" });
  for (const id of ["", "..", "a/b", "a b"]) {
    await assert.rejects(namespaces.create(id, call), { code: "INVALID_ARGUMENT" });
  }
  assert.equal((await namespaces.list()).length, 1);
});
