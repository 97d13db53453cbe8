// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseCgroups } from "./proc-cgroup.ts";

test("parseCgroups reads hierarchies of both versions", () => {
  const text = "12:cpu,cpuacct:/a:b\n1:name=systemd:/x\n0::/user.slice\n\n";
  assert.deepEqual(parseCgroups(text), [
    { controllers: "cpu,cpuacct", place: "/a:b" },
    { controllers: "name=systemd", place: "/x" },
    { controllers: "", place: "/user.slice" },
  ]);
});
