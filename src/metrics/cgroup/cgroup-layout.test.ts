// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseMountinfo } from "../../base/os/mountinfo.ts";
import { CgroupLayout, parseProcCgroup } from "./cgroup-layout.ts";

const layout = (...lines: string[]) => new CgroupLayout(parseMountinfo(lines.join("\n")));
const v2 = layout("30 1 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate");
const hybrid = layout(
  "31 1 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw",
  "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct",
  "33 31 0:30 /outer /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory",
  "34 31 0:31 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd",
  "35 31 0:32 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw",
);

test("CgroupLayout finds a cgroup of the unified hierarchy", () => {
  assert.equal(v2.version, 2);
  const rows = [
    ["/k8s.io/id", "/sys/fs/cgroup/k8s.io/id"],
    [
      "kubepods-burstable-pod1.slice:cri-containerd:id",
      "/sys/fs/cgroup/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice/cri-containerd-id.scope",
    ],
    [":cri-containerd:id", "/sys/fs/cgroup/system.slice/cri-containerd-id.scope"],
    ["-.slice:p:n", "/sys/fs/cgroup/p-n.scope"],
    ["/../../../etc/id", "/sys/fs/cgroup/etc/id"],
    ["../../../etc/id", "/sys/fs/cgroup/etc/id"],
    ["a.slice:../../../../../etc:id", "/sys/fs/cgroup/etc-id.scope"],
  ] as const;
  for (const [cgroupsPath, folder] of rows)
    assert.deepEqual(v2.locate(cgroupsPath), { version: 2, folder });
});

test("CgroupLayout finds every controller's folder of a hybrid host, shared mounts and nested roots too", () => {
  assert.deepEqual(hybrid.locate("/k8s.io/id"), {
    version: 1,
    folders: {
      cpu: "/sys/fs/cgroup/cpu,cpuacct/k8s.io/id",
      cpuacct: "/sys/fs/cgroup/cpu,cpuacct/k8s.io/id",
      memory: "/sys/fs/cgroup/memory/k8s.io/id",
    },
  });
  const nested = hybrid.locate("/outer/inner");
  assert.equal(nested.version === 1 && nested.folders["memory"], "/sys/fs/cgroup/memory/inner");
});

test("parseProcCgroup reads both kinds of line", () => {
  const text = "4:cpu,cpuacct:/a\n2:name=systemd:/s\n0::/u:v\nnonsense\n";
  assert.deepEqual(
    [...parseProcCgroup(text)],
    [
      ["cpu", "/a"],
      ["cpuacct", "/a"],
      ["name=systemd", "/s"],
      ["", "/u:v"],
    ],
  );
});
