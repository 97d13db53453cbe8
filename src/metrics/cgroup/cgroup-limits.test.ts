// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { cgroupPathOf } from "./cgroup-layout.ts";
import { readCgroupLimits } from "./cgroup-limits.ts";

const folders: string[] = [];
after(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true }))));

async function cgroup(files: Readonly<Record<string, string>>): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), "cgroup limits "));
  folders.push(folder);
  for (const [name, text] of Object.entries(files)) await writeFile(path.join(folder, name), text);
  return folder;
}

const none = {
  cpuShares: undefined,
  cpuPeriodMicros: undefined,
  cpuQuotaMicros: undefined,
  memoryReservationBytes: undefined,
};

test("reads the limits of the separate hierarchies", async () => {
  const cpu = await cgroup({
    "cpu.shares": "512\n",
    "cpu.cfs_period_us": "100000\n",
    "cpu.cfs_quota_us": "50000\n",
  });
  const memory = await cgroup({ "memory.soft_limit_in_bytes": "1048576\n" });
  assert.deepEqual(readCgroupLimits({ version: 1, folders: { cpu, memory } }), {
    cpuShares: 512n,
    cpuPeriodMicros: 100_000n,
    cpuQuotaMicros: 50_000n,
    memoryReservationBytes: 1_048_576n,
  });
  const unlimited = await cgroup({
    "cpu.shares": "1024\n",
    "cpu.cfs_quota_us": "-1\n",
    "memory.soft_limit_in_bytes": "9223372036854771712\n",
  });
  const both = { cpu: unlimited, memory: unlimited };
  const limits = readCgroupLimits({ version: 1, folders: both });
  assert.deepEqual(limits, { ...none, cpuShares: 1024n });
});

const weights = [
  { weight: "1", shares: 2n },
  { weight: "20", shares: 500n },
  { weight: "10000", shares: 262_144n },
];
for (const { weight, shares } of weights) {
  test(`weight ${weight} of the unified hierarchy is ${shares} shares`, async () => {
    const folder = await cgroup({ "cpu.weight": weight, "cpu.max": "max 100000\n" });
    const limits = readCgroupLimits({ version: 2, folder });
    assert.deepEqual(limits, { ...none, cpuShares: shares, cpuPeriodMicros: 100_000n });
  });
}

test("a cgroup that is gone has none", async () => {
  assert.deepEqual(readCgroupLimits({ version: 2, folder: "/no/such" }), none);
  assert.deepEqual(readCgroupLimits({ version: 1, folders: {} }), none);
});

const paths = [
  { given: "/kubepods/pod1/c1", path: "/kubepods/pod1/c1" },
  {
    given: "kubepods-pod1.slice:cri-containerd:c1",
    path: "/kubepods.slice/kubepods-pod1.slice/cri-containerd-c1.scope",
  },
  { given: "kubepods-pod1.slice", path: "/kubepods.slice/kubepods-pod1.slice" },
  { given: "some/folder", path: "/some/folder" },
];
for (const { given, path: expected } of paths) {
  test(`${given} is the cgroup ${expected}`, () => assert.equal(cgroupPathOf(given), expected));
}
