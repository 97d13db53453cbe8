// SPDX-License-Identifier: Apache-2.0
// Cgroups as a hostile container leaves them: nested beyond any path, and full of what forks.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { silentLogger } from "../../../src/base/logger.ts";
import {
  killLeftovers,
  ownCgroups,
  removeCgroups,
} from "../../../src/runtime/death/leftover-processes.ts";
import { cgroupMounts } from "../../support/cgroups.ts";
import { startHeadlessProcess } from "../../support/headless-process.ts";
import { until } from "../../support/until.ts";
import { within } from "./rig.ts";

const skip = process.getuid?.() === 0 ? false : "needs root";
const { signal } = within();
const call = { log: silentLogger, signal };

/** Fresh cgroups of one container, in every hierarchy where it may have some. */
async function cgroupsOf(t: TestContext, name: string): Promise<string[]> {
  const mounts = (await cgroupMounts()).filter((mount) => !/cpuset|systemd/.test(mount));
  const folders = mounts.map((mount) => path.join(mount, `berth-lo-${process.pid}-${name}`));
  for (const folder of folders) mkdirSync(folder);
  t.after(async () => {
    await killLeftovers(undefined, folders, signal);
    await removeCgroups(folders, call);
  });
  return folders;
}

/** Nested so that the innermost has a path that no system call takes; made by relative names. */
async function nest(folder: string): Promise<void> {
  const script = `n=$(printf 'x%.0s' $(seq 200)); i=0
    while [ $i -lt 30 ]; do mkdir $n && cd -P ./$n || exit 1; i=$((i + 1)); done
    exec sh -c 'echo $$ > cgroup.procs && exec sleep 1000'`;
  const child = spawn("sh", ["-c", script], { cwd: folder, stdio: "ignore" });
  await once(child, "spawn");
  await until("it is in there", () =>
    readFileSync(`/proc/${child.pid}/cgroup`, "latin1").includes("x".repeat(200)),
  );
}

test("processes in cgroups nested beyond PATH_MAX are killed, and these removed", {
  skip,
}, async (t) => {
  for (const folder of await cgroupsOf(t, "deep")) {
    await nest(folder);
    await assert.rejects(async () => {
      const log = { ...silentLogger, warn: refuse };
      await removeCgroups([folder], { log, signal, busyMs: 10 });
    }, /EBUSY/);
    await killLeftovers(undefined, [folder], signal);
    // What was killed holds them until it has had its turn to end.
    await removeCgroups([folder], call);
    assert.ok(!existsSync(folder), folder);
  }
});

test("cgroups of what is about to end are removed when it has", { skip }, async (t) => {
  const folders = await cgroupsOf(t, "ending");
  const script = 'for c in "$@"; do echo $$ > "$c/cgroup.procs"; done; echo in; sleep 0.5';
  const child = spawn("sh", ["-c", script, "sh", ...folders], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  await once(child.stdout, "data");
  await removeCgroups(folders, call);
  assert.deepEqual(
    folders.filter((folder) => existsSync(folder)),
    [],
  );
});

test("the cgroups of a process are found whose first thread has ended", { skip }, async (t) => {
  const folders = await cgroupsOf(t, "headless");
  using headless = startHeadlessProcess();
  const { pid } = headless;
  for (const folder of folders) writeFileSync(path.join(folder, "cgroup.procs"), String(pid));
  const id = path.basename(folders[0] ?? "");
  const before = await ownCgroups(pid, id, "");
  assert.deepEqual(before.toSorted(), folders.toSorted());
  await headless.loseHead();
  assert.deepEqual(await ownCgroups(pid, id, ""), before);
});

function refuse({ err }: { readonly err: Error }): never {
  throw err;
}

test("what forks as fast as it is killed ends", { skip }, async (t) => {
  const folders = await cgroupsOf(t, "bomb");
  const bomb = "f() { while :; do sleep 0.01 & done; }; f & f & f & f & wait";
  const children: ChildProcess[] = [];
  const script = `for c in "$@"; do echo $$ > "$c/cgroup.procs"; done; ${bomb}`;
  for (const folder of folders) {
    if (existsSync(`${folder}/pids.max`)) writeFileSync(`${folder}/pids.max`, "200");
  }
  children.push(spawn("sh", ["-c", script, "sh", ...folders], { stdio: "ignore" }));
  const members = (): string => readFileSync(`${folders[0]}/cgroup.procs`, "latin1");
  await until("it forks", () => members().split("\n").length > 20);
  await killLeftovers(undefined, folders, signal);
  await until("none is left", () => members() === "");
});
