// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { ownCgroups, parseCgroups } from "./leftover-processes.ts";
import { isShimOf } from "./shim/stray-shim.ts";

test("parseCgroups reads hierarchies of both versions", () => {
  const text = "12:cpu,cpuacct:/a:b\n1:name=systemd:/x\n0::/user.slice\n\n";
  assert.deepEqual(parseCgroups(text), [
    { controllers: "cpu,cpuacct", place: "/a:b" },
    { controllers: "name=systemd", place: "/x" },
    { controllers: "", place: "/user.slice" },
  ]);
});

test("ownCgroups never takes this process's own cgroups for a container's", async () => {
  assert.deepEqual(await ownCgroups(process.pid, "some-container", ""), []);
});

test("isShimOf knows the serving shim of a task and nothing else", () => {
  const search = {
    binary: "/usr/bin/containerd-shim-runc-v2",
    namespace: "k8s.io",
    ids: ["a", "pod"],
    grpcAddress: "/run/b.sock",
  };
  const flags = ["-namespace", "k8s.io", "-id", "pod", "-address", "/run/b.sock"];
  const cases: [string[], boolean][] = [
    [["/usr/bin/containerd-shim-runc-v2", ...flags], true],
    [["/usr/bin/containerd-shim-runc-v2", ...flags, "start"], false],
    [["/usr/bin/containerd-shim-runc-v2", ...flags, "delete"], false],
    [["/bin/sleep", ...flags], false],
    [
      ["containerd-shim-runc-v2", "-namespace", "k8s.io", "-id", "b", "-address", "/run/b.sock"],
      false,
    ],
    [
      ["containerd-shim-runc-v2", "-namespace", "k8s.io", "-id", "pod", "-address", "/run/c.sock"],
      false,
    ],
    [[], false],
  ];
  for (const [argv, expected] of cases)
    assert.equal(isShimOf(argv, search), expected, argv.join(" "));
});
