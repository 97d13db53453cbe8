// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { scratch } from "../../../test/support/scratch.ts";
import { readHostFacts } from "./host-facts.ts";

async function hostOf(root: string, files: Readonly<Record<string, string>>) {
  for (const [name, text] of Object.entries(files)) {
    await mkdir(path.dirname(path.join(root, name)), { recursive: true });
    await writeFile(path.join(root, name), text);
  }
  return readHostFacts(root);
}

const status = "CapEff:\t0000000001000001\nCapBnd:\t0000000001000003\nSeccomp:\t0\n";

test("readHostFacts reads a cgroup v2 host", async () => {
  await using place = await scratch();
  const facts = await hostOf(place.path, {
    "proc/self/status": status,
    "proc/self/cgroup": "0::/berthd.service\n",
    "proc/self/ns/cgroup": "",
    "proc/self/oom_score_adj": "-999\n",
    "proc/sys/kernel/cap_last_cap": "40\n",
    "sys/fs/cgroup/cgroup.controllers": "cpu memory hugetlb\n",
    "sys/fs/cgroup/berthd.service/memory.swap.max": "max\n",
    "sys/module/apparmor/parameters/enabled": "Y\n",
    "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages": "0\n",
    "sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages": "0\n",
  });
  assert.deepEqual(
    {
      ...facts,
      hugepageSizes: [...facts.hugepageSizes].sort(),
      kernelRelease: "",
      hostname: "",
      architecture: "",
    },
    {
      cgroupVersion: 2,
      cgroupHybrid: false,
      cgroupNamespaces: true,
      cgroupControllers: ["cpu", "memory", "hugetlb"],
      capabilities: ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_SYS_RESOURCE"],
      seccomp: true,
      apparmor: true,
      selinux: false,
      swapAccounting: true,
      daemonOomScoreAdj: -999,
      canLowerOomScore: true,
      hugepageSizes: ["1GB", "2MB"],
      kernelRelease: "",
      architecture: "",
      hostname: "",
    },
  );
});

test("readHostFacts reads a hybrid cgroup v1 host, and one that says nothing", async () => {
  await using place = await scratch();
  const facts = await hostOf(place.path, {
    "proc/cgroups":
      "#subsys_name\thierarchy\tnum\tenabled\ncpu\t1\t1\t1\nhugetlb\t0\t1\t1\nmemory\t4\t1\t0\n",
    "sys/fs/cgroup/unified/cgroup.controllers": "\n",
  });
  assert.deepEqual(
    [
      facts.cgroupVersion,
      facts.cgroupHybrid,
      facts.cgroupNamespaces,
      facts.cgroupControllers,
      facts.seccomp,
      facts.canLowerOomScore,
      facts.swapAccounting,
    ],
    [1, true, false, ["cpu"], false, false, false],
  );
});
