// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { cgroupsPath } from "./cgroups-path.ts";

const rows = [
  { parent: "", systemd: false, out: "/k8s.io/id" },
  { parent: "/kubepods/pod1", systemd: false, out: "/kubepods/pod1/id" },
  { parent: "kubepods", systemd: false, out: "/kubepods/id" },
  {
    parent: "/kubepods.slice/kubepods-pod1.slice",
    systemd: false,
    out: "/kubepods.slice/kubepods-pod1.slice/id",
  },
  {
    parent: "/kubepods.slice/kubepods-pod1.slice",
    systemd: true,
    out: "kubepods-pod1.slice:cri-containerd:id",
  },
  { parent: "", systemd: true, out: ":cri-containerd:id" },
];

for (const { parent, systemd, out } of rows) {
  test(`cgroupsPath of "${parent}" with ${systemd ? "systemd" : "cgroupfs"}`, () => {
    assert.equal(cgroupsPath(parent, "id", systemd), out);
  });
}

test("cgroupsPath refuses a parent that the driver cannot use or that climbs", () => {
  assert.throws(() => cgroupsPath("/kubepods/pod1", "id", true), /cgroup_parent: .* is no slice/);
  assert.throws(() => cgroupsPath("/a/../../b", "id", false), /climbs out/);
});
