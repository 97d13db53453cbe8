// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { isUsualLack } from "./may-lack.ts";

const cases: readonly [reason: string, isUsual: boolean][] = [
  ["needs root", true],
  ["needs FUSE", true],
  ["needs IPv6", true],
  ["needs criu", true],
  ["needs crictl: spawn go ENOENT", true],
  ["needs containerd-shim-2.1: scripts/node scripts/build-tools.ts", true],
  ["needs cgroup v1's freezer", true],
  ["needs iptables", false],
  ["needs criu, iptables", false],
  ["needs crun", false],
  ["needs promtool (Debian's prometheus)", false],
  ["needs CNI plugins (containernetworking-plugins)", false],
  ["needs build/pause-amd64", false],
  ["needs /work/shared", false],
  ["", false],
];

for (const [reason, isUsual] of cases) {
  test(`"${reason}" is ${isUsual ? "" : "not "}what a set-up machine may lack`, () => {
    assert.equal(isUsualLack(reason), isUsual);
  });
}
