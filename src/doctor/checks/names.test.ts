// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { makeNode } from "../../../test/support/doctor/made-node.ts";
import { kubeletConf } from "../../../test/support/doctor/sickness.ts";

async function named(name: string, hasJoined: boolean) {
  await using node = await makeNode();
  await node.write("/proc/sys/kernel/hostname", `${name}\n`);
  if (hasJoined) await node.write(kubeletConf, "kind: Config\n");
  const { findings } = await node.examine("--only", "names");
  return findings.map(({ level, mend }) => ({ level, mend }));
}

test("a node that has joined is not renamed by a command, but joined anew", async () => {
  for (const [name, level, to] of [
    ["My_Node.", "error", "my-node"],
    ["localhost", "note", "NAME"],
  ] as const) {
    const [found] = await named(name, true);
    assert.equal(found?.level, level);
    assert.match(found.mend, new RegExp(`^# .*have it join anew as ${to}: `));
  }
});

test("one that has not is given a name that Kubernetes takes", async () => {
  for (const [name, to] of [
    ["My_Node", "my-node"],
    ["a._b.c", "a.b.c"],
    ["__", "NAME"],
    ["x'; id #", "x-id"],
  ] as const)
    assert.deepEqual(await named(name, false), [
      { level: "error", mend: `hostnamectl set-hostname ${to} && systemctl restart kubelet` },
    ]);
});
