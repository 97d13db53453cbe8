// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { plainHost, specOf, testRefusals } from "../../../test/support/spec-input.ts";
import { defaultConfig } from "../../config/defaults.ts";
import type { LinuxContainerResourcesInit } from "../../gen/cri.gen.ts";
import type { OciLinuxResources } from "../../oci/spec.ts";

const denyAll = [{ allow: false, access: "rwm" }];
const hugetlb = { ...defaultConfig.cri, disableHugetlbController: false };
const huge = {
  hugepageLimits: [
    { pageSize: "2MB", limit: 4096n },
    { pageSize: "64KB", limit: 0n },
  ],
};

const rows: {
  name: string;
  resources: LinuxContainerResourcesInit;
  changes?: object;
  out: OciLinuxResources;
}[] = [
  { name: "nothing set", resources: {}, out: { devices: denyAll } },
  {
    name: "cpu",
    resources: {
      cpuShares: 512n,
      cpuQuota: 5000n,
      cpuPeriod: 10000n,
      cpusetCpus: "0-1,3",
      cpusetMems: "0",
    },
    out: {
      devices: denyAll,
      cpu: { shares: 512, quota: 5000, period: 10000, cpus: "0-1,3", mems: "0" },
    },
  },
  {
    name: "negative quota",
    resources: { cpuQuota: -1n },
    out: { devices: denyAll, cpu: { quota: -1 } },
  },
  {
    name: "memory covers swap",
    resources: { memoryLimitInBytes: 100n },
    out: {
      devices: denyAll,
      memory: { limit: 100, swap: 100 },
      unified: { "memory.swap.max": "0" },
    },
  },
  {
    name: "swap not counted",
    resources: { memoryLimitInBytes: 100n },
    changes: { host: { ...plainHost, swapAccounting: false } },
    out: { devices: denyAll, memory: { limit: 100 } },
  },
  {
    name: "swap of its own",
    resources: { memoryLimitInBytes: 100n, memorySwapLimitInBytes: 300n },
    out: {
      devices: denyAll,
      memory: { limit: 100, swap: 300 },
      unified: { "memory.swap.max": "200" },
    },
  },
  {
    name: "unlimited swap",
    resources: { memorySwapLimitInBytes: -1n },
    out: { devices: denyAll, memory: { swap: -1 } },
  },
  {
    name: "beyond a number's digits",
    resources: { memoryLimitInBytes: 9223372036854771712n },
    changes: { host: { ...plainHost, swapAccounting: false } },
    out: { devices: denyAll, memory: { limit: 9223372036854771712n } },
  },
  { name: "hugepages off by default", resources: huge, out: { devices: denyAll } },
  {
    name: "hugepages of this host's sizes",
    resources: huge,
    changes: { cri: hugetlb },
    out: { devices: denyAll, hugepageLimits: [{ pageSize: "2MB", limit: 4096 }] },
  },
  {
    name: "hugepages without the controller",
    resources: huge,
    changes: { cri: hugetlb, host: { ...plainHost, cgroupControllers: [] } },
    out: { devices: denyAll },
  },
  {
    name: "memory and unlimited swap",
    resources: { memoryLimitInBytes: 100n, memorySwapLimitInBytes: -1n },
    out: {
      devices: denyAll,
      memory: { limit: 100, swap: -1 },
      unified: { "memory.swap.max": "max" },
    },
  },
  {
    name: "swap as the request's own file says",
    resources: { memoryLimitInBytes: 100n, unified: { "memory.swap.max": "50" } },
    out: {
      devices: denyAll,
      memory: { limit: 100, swap: 100 },
      unified: { "memory.swap.max": "50" },
    },
  },
  {
    name: "swap on v1",
    resources: { memoryLimitInBytes: 100n },
    changes: { host: { ...plainHost, cgroupVersion: 1 } },
    out: { devices: denyAll, memory: { limit: 100, swap: 100 } },
  },
  {
    name: "unified",
    resources: { unified: { "memory.high": "1000" } },
    out: { devices: denyAll, unified: { "memory.high": "1000" } },
  },
];

for (const { name, resources, changes, out } of rows) {
  test(`resources: ${name}`, async () => {
    const spec = await specOf({ ...changes, config: { linux: { resources } } });
    assert.deepEqual(spec.linux.resources, out);
  });
}

const bad = (
  name: string,
  resources: LinuxContainerResourcesInit,
  message: RegExp,
  changes = {},
) => ({
  name,
  changes: { ...changes, config: { linux: { resources } } },
  code: "INVALID_ARGUMENT" as const,
  message,
});

testRefusals([
  bad("negative shares", { cpuShares: -1n }, /cpu_shares: -1 is negative/),
  bad("a negative memory limit", { memoryLimitInBytes: -5n }, /memory_limit_in_bytes/),
  bad(
    "swap below memory",
    { memoryLimitInBytes: 10n, memorySwapLimitInBytes: 5n },
    /below the memory limit 10/,
  ),
  bad("a bad cpu list", { cpusetCpus: "0-" }, /cpuset_cpus: "0-"/),
  bad("a path in unified", { unified: { "../memory.max": "1" } }, /unified: "\.\.\/memory\.max"/),
  bad(
    "a bad page size",
    { hugepageLimits: [{ pageSize: "2Mi", limit: 1n }] },
    /hugepage_limits: "2Mi"/,
    { cri: hugetlb },
  ),
  bad(
    "pages the host lacks",
    { hugepageLimits: [{ pageSize: "16GB", limit: 1n }] },
    /no pages of 16GB/,
    { cri: hugetlb },
  ),
  {
    ...bad(
      "a file of cgroup v2 on v1",
      { unified: { "memory.high": "1000" } },
      /unified: "memory\.high" is a file of cgroup v2/,
      {
        host: { ...plainHost, cgroupVersion: 1 as const },
      },
    ),
    code: "FAILED_PRECONDITION" as const,
  },
  bad("an oom score beyond 1000", { oomScoreAdj: 1001n }, /oom_score_adj: 1001 is outside/),
]);

test("oom_score_adj is raised to the daemon's own where it cannot be lowered", async () => {
  const limited = { ...plainHost, canLowerOomScore: false, daemonOomScoreAdj: 100 };
  const score = async (host: typeof limited, oomScoreAdj: bigint) =>
    (await specOf({ host, config: { linux: { resources: { oomScoreAdj } } } })).process.oomScoreAdj;
  assert.equal(await score(limited, -998n), 100);
  assert.equal(await score(limited, 500n), 500);
  assert.equal(await score(plainHost, -998n), -998);
  assert.equal((await specOf()).process.oomScoreAdj, undefined);
});
