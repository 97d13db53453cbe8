// SPDX-License-Identifier: Apache-2.0
// Of a host with both versions: a sandbox process by cgroup v2 alone, whatever controllers that has here.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { silentLogger } from "../../../src/base/logger.ts";
import { makeFifo } from "../../../src/base/os/fifo.ts";
import { cgroupMounts } from "../../../src/base/os/mount-table.ts";
import { readSandboxProcess } from "../../../src/oci/sandbox-process.ts";
import { pauseBinaryPath } from "../../../src/pause/pause-binary.ts";
import { clampToFloor } from "../../../src/runtime/bundle/clamp-process.ts";
import { removeCgroups } from "../../../src/runtime/death/leftover-processes.ts";
import { SandboxCgroup } from "../../../src/runtime/sandbox/sandbox-cgroup.ts";
import { sandboxStats } from "../../../src/runtime/sandbox/sandbox-stats.ts";
import { startProcess } from "../../../src/runtime/sandbox/start-process.ts";
import { scratch } from "../../support/scratch.ts";
import { availableShims, lacking, within } from "./rig.ts";
import { SandboxRig } from "./sandbox-rig.ts";

test("with cgroup v2 a sandbox process is born in its cgroup, which can be frozen", {
  skip: lacking() ?? false,
}, async (t) => {
  const mounts = (await cgroupMounts()).filter(({ type }) => type === "cgroup2");
  if (mounts.length === 0) return t.skip("needs cgroup v2");
  await using sandbox = await SandboxRig.make(availableShims()[0] ?? "");
  await using home = await scratch({ prefix: "cgroup" });
  const read = readSandboxProcess(
    JSON.parse(Buffer.from(clampToFloor(sandbox.options("unified").spec)).toString()),
  );
  assert.ok("process" in read);
  const place = `/berth-v2-${process.pid}/unified`;
  const cgroup = new SandboxCgroup(place, mounts);
  assert.ok(cgroup.isUnified);
  await cgroup.make(2);
  const [alive, start] = [`${home.path}/alive`, `${home.path}/start`];
  for (const fifo of [alive, start]) makeFifo(fifo);
  const request = {
    id: "unified",
    program: pauseBinaryPath(),
    process: read.process,
    cgroup,
    alive,
    start,
  };
  const { pid, exited } = await startProcess(request, within());
  assert.match(readFileSync(`/proc/${pid}/cgroup`, "utf8"), RegExp(`^0::${place}$`, "m"));
  assert.deepEqual(await cgroup.pids(), [pid]);
  assert.match((await sandboxStats(cgroup)).type_url, /v2\.Metrics$/);
  await cgroup.freeze(true);
  assert.ok(await cgroup.isFrozen());
  await cgroup.freeze(false);
  assert.ok(!(await cgroup.isFrozen()));
  process.kill(pid, "SIGKILL");
  assert.equal(await exited, 137);
  const folders = cgroup.folders.flatMap((folder) => [folder, folder.slice(0, -"/unified".length)]);
  await removeCgroups(folders, { log: silentLogger, ...within() });
  assert.deepEqual(
    folders.filter((folder) => existsSync(folder)),
    [],
  );
});
