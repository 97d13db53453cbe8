// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdir, rmdir, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { CgroupLayout } from "../../../src/metrics/cgroup/cgroup-layout.ts";
import { firstProcesses } from "../../../src/metrics/cgroup/cgroup-processes.ts";
import { oomKills, readCgroupSample } from "../../../src/metrics/cgroup/read-sample.ts";
import { until } from "../../support/until.ts";

const skip = process.getuid?.() === 0 ? false : "needs root";

test("a real cgroup's figures: memory, pids, CPU, and an OOM kill", { skip }, async (t) => {
  const layout = await CgroupLayout.read();
  const paths = layout.locate(`/berth-metrics-${randomBytes(3).toString("hex")}`);
  const folders =
    paths.version === 2
      ? [paths.folder]
      : ["cpu", "cpuacct", "memory", "pids"].flatMap((name) => paths.folders[name] ?? []);
  try {
    for (const folder of new Set(folders)) await mkdir(folder);
  } catch (error) {
    return t.skip(`needs a writable cgroup tree: ${String(error)}`);
  }
  const memory = paths.version === 2 ? paths.folder : (paths.folders["memory"] ?? "");
  const limit = paths.version === 2 ? "memory.max" : "memory.limit_in_bytes";
  const child = spawn("sh", ["-c", "read go; x=y; while :; do x=$x$x; done"], {
    stdio: ["pipe", "ignore", "ignore"],
  });
  const exited = new Promise<NodeJS.Signals | null>((resolve) => {
    child.once("exit", (_code, signal) => resolve(signal));
  });
  try {
    await writeFile(`${memory}/${limit}`, String(16 * 1024 * 1024));
    for (const folder of folders) await writeFile(`${folder}/cgroup.procs`, String(child.pid));
    const before = readCgroupSample(paths);
    assert.equal(before?.memory?.limitBytes, 16n * 1024n * 1024n);
    assert.deepEqual([before?.oomKills, firstProcesses(paths, 9)], [0n, [child.pid]]);
    assert.equal(before?.pids?.current, 1n);
    child.stdin?.end("go\n");
    assert.equal(await exited, "SIGKILL");
    await until("the kill is counted", async () => (await oomKills(paths)) === 1n);
    const after = readCgroupSample(paths);
    assert.ok((after?.cpu?.usageNanos ?? 0n) > (before?.cpu?.usageNanos ?? 0n));
    assert.ok((after?.memory?.failures ?? 0n) > 0n);
    assert.ok((after?.memory?.pageFaults ?? 0n) > 0n);
  } finally {
    child.kill("SIGKILL");
    await exited;
    for (const folder of new Set(folders)) {
      await until(`${folder} is empty`, () =>
        rmdir(folder).then(
          () => true,
          () => false,
        ),
      );
    }
  }
  assert.equal(readCgroupSample(paths), undefined);
  assert.equal(await oomKills(paths), undefined);
});
