// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { scopeName } from "./scope-name.ts";

const rows: readonly (readonly [cgroupsPath: string, unit: string, slice: string])[] = [
  ["kubepods-pod1.slice:cri-containerd:a1", "cri-containerd-a1.scope", "kubepods-pod1.slice"],
  [":berth:a1", "berth-a1.scope", "system.slice"],
  ["-.slice:berth:a1", "berth-a1.scope", "-.slice"],
  ["a.slice:b-c:d_e.1", "b-c-d_e.1.scope", "a.slice"],
];
for (const [cgroupsPath, unit, slice] of rows) {
  test(`${cgroupsPath} is ${unit} in ${slice}`, () => {
    assert.deepEqual(scopeName(cgroupsPath), { unit, slice });
  });
}

const none = [
  "",
  "/a/b",
  "a:b:c",
  "a.slice:b:c.slice",
  "a.slice:b:c:d",
  "a.slice::c",
  "a.slice:b:",
  "a.slice:b/..:c",
  "a/b.slice:b:c",
  "a--b.slice:b:c",
  "-a.slice:b:c",
  "a.slice:b:c\n",
  `a.slice:b:${"c".repeat(250)}`,
];
for (const cgroupsPath of none) {
  test(`${JSON.stringify(cgroupsPath.slice(0, 30))} is no scope`, () => {
    assert.equal(scopeName(cgroupsPath), undefined);
  });
}
