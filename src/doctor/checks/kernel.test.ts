// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { makeNode } from "../../../test/support/doctor/made-node.ts";

const toLoad = /^modprobe overlay && echo overlay >\S+$/;

test("a restart is advised only where modules of the kernel that runs were there and are gone", async () => {
  for (const [release, kernels, modules, advised] of [
    [
      "6.12.1",
      ["6.12.2"],
      "br_netfilter 1 0 - Live 0x0\n",
      /^echo overlay >\S+ # and start the node anew/,
    ],
    ["6.12.1", ["6.12.1", "6.12.2"], "br_netfilter 1 0 - Live 0x0\n", toLoad],
    ["6.12.1", [], "br_netfilter 1 0 - Live 0x0\n", toLoad],
    ["6.1.102", ["6.12.2"], "", toLoad],
    ["6.6.87-microsoft-standard-WSL2", ["6.12.2"], "tun 1 0 - Live 0x0\n", toLoad],
    [
      "6.1.102",
      ["6.12.2"],
      undefined,
      /^# this kernel loads no modules: boot one that has CONFIG_OVERLAY_FS=y$/,
    ],
  ] as const) {
    await using node = await makeNode();
    await node.write("/proc/sys/kernel/osrelease", `${release}\n`);
    if (modules === undefined) await rm(path.join(node.root, "proc/modules"));
    else await node.write("/proc/modules", modules);
    for (const one of kernels) await node.write(`/lib/modules/${one}/modules.dep`, "");
    const { findings } = await node.examine("--only", "kernel");
    const found = findings.find(({ what }) => what === "the kernel has no overlay");
    assert.match(found?.mend ?? "", advised, `${release} ${kernels.join()} ${modules}`);
  }
});
