// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdirSync } from "node:fs";
import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { makeFifo, openFifoBoth } from "./fifo.ts";
import { argumentsOf, processesBelow } from "./process-scan.ts";

async function folderOf(t: TestContext, atEnd = (): void => {}): Promise<string> {
  const folder = await realpath(await mkdtemp(path.join(tmpdir(), "ps ")));
  t.after(async () => {
    atEnd();
    await rm(folder, { recursive: true, force: true });
  });
  return folder;
}

interface Entry {
  readonly cwd: string;
  readonly pidNamespace?: string;
  readonly mountNamespace?: string;
}

/** A folder like /proc, in which no command line can be read: whoever opens one waits for ever. */
async function fakeProc(t: TestContext, entries: Record<string, Entry>): Promise<string> {
  const fifos: string[] = [];
  // Who waits for one is let go at the end, or the test would not end either.
  const letGo = (): void => fifos.forEach((file) => closeSync(openFifoBoth(file)));
  const proc = await folderOf(t, letGo);
  for (const [pid, { cwd, pidNamespace = "1", mountNamespace = "2" }] of Object.entries(entries)) {
    await mkdir(path.join(proc, pid, "ns"), { recursive: true });
    await symlink(cwd, path.join(proc, pid, "cwd"));
    await symlink(`pid:[${pidNamespace}]`, path.join(proc, pid, "ns/pid"));
    await symlink(`mnt:[${mountNamespace}]`, path.join(proc, pid, "ns/mnt"));
    const file = path.join(proc, pid, "cmdline");
    makeFifo(file);
    fifos.push(file);
  }
  return proc;
}

test("processesBelow reads of processes nothing that can hang, and takes none of a container", async (t) => {
  const proc = await fakeProc(t, {
    self: { cwd: "/" },
    "10": { cwd: "/run/b/ns/a" },
    "11": { cwd: "/run/b/ns/.a.1.1 (deleted)" },
    "12": { cwd: "/run/b" },
    "13": { cwd: "/run/b/ns/a", pidNamespace: "7" },
    "14": { cwd: "/run/b/ns/a", mountNamespace: "8" },
    "15": { cwd: "/run/bb/ns/a" },
  });
  const found = await processesBelow("/run/b", "cwd", { proc });
  assert.deepEqual(
    found.toSorted((a, b) => a.pid - b.pid),
    [
      { pid: 10, target: "/run/b/ns/a" },
      { pid: 11, target: "/run/b/ns/.a.1.1 (deleted)" },
    ],
  );
});

test("processesBelow lets others have their turn between some hundred processes", async (t) => {
  const proc = await folderOf(t);
  for (let pid = 1; pid <= 1_000; pid += 1) mkdirSync(path.join(proc, String(pid)));
  let turns = 0;
  let ticking = setImmediate(function tick() {
    turns += 1;
    ticking = setImmediate(tick);
  });
  t.after(() => clearImmediate(ticking));
  await processesBelow("/run/b", "cwd", { proc });
  assert.ok(turns >= 5, `${turns}`);
});

test("processesBelow finds a process in a folder that is named by a link", async (t) => {
  const folder = await folderOf(t);
  await mkdir(path.join(folder, "real/below"), { recursive: true });
  await symlink("real", path.join(folder, "link"));
  const cwd = path.join(folder, "real/below");
  const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1e6)"], { cwd });
  t.after(() => child.kill("SIGKILL"));
  await once(child, "spawn");
  assert.deepEqual(await processesBelow(path.join(folder, "link"), "cwd"), [
    { pid: child.pid, target: path.join(folder, "link/below") },
  ]);
});

test("argumentsOf never reads again while one read hangs, and at most 4 KiB", async (t) => {
  const proc = await fakeProc(t, { "10": { cwd: "/" }, "11": { cwd: "/" } });
  await mkdir(path.join(proc, "12"));
  await writeFile(path.join(proc, "12/cmdline"), "\0".repeat(2_000_000));
  assert.equal((await argumentsOf({ pid: 12 }, { proc })).length, 4096);
  const options = { proc, maxMs: 20 };
  assert.deepEqual(await argumentsOf({ pid: 10 }, options), []);
  assert.deepEqual(await argumentsOf({ pid: 12 }, options), [], "another read could hang as well");
  closeSync(openFifoBoth(path.join(proc, "10/cmdline")));
  while ((await argumentsOf({ pid: 12 }, options)).length === 0) {
    await new Promise((resolve) => setImmediate(resolve));
  }
});
