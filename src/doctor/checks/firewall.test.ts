// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { makeNode, runningProcess } from "../../../test/support/doctor/made-node.ts";

interface Made {
  readonly programs?: readonly string[];
  readonly runs?: string;
}

/** What is found of a network with such plugins on a node that has these programs. */
async function examined(plugins: readonly object[], { programs = [], runs }: Made) {
  await using node = await makeNode();
  await rm(path.join(node.root, "usr/sbin/iptables"));
  for (const one of programs) await node.write(`/usr/sbin/${one}`, "#!/bin/sh\n", 0o755);
  if (runs !== undefined) await runningProcess(node.write, node.root, 99, runs);
  const network = { cniVersion: "1.0.0", name: "pods", plugins };
  await node.write("/etc/cni/net.d/10-pods.conflist", JSON.stringify(network));
  const { findings } = await node.examine("--only", "firewall");
  return findings;
}

const ipam = { type: "host-local" };
const bridge = { type: "bridge", ipam, ipMasq: true };

test("iptables is missing where a plugin runs nothing else, and nft does not do in its place", async () => {
  for (const [plugin, made, level] of [
    [bridge, {}, "error"],
    [bridge, { programs: ["nft"] }, "note"],
    [{ ...bridge, ipMasqBackend: "iptables" }, { programs: ["nft"] }, "error"],
    [{ ...bridge, ipMasqBackend: "nftables" }, { programs: ["nft"] }, "ok"],
    [{ ...bridge, ipMasqBackend: "nftables" }, { programs: ["iptables"] }, "error"],
    [{ ...bridge, ipMasq: false }, {}, "ok"],
    [{ type: "portmap" }, { programs: ["nft"] }, "note"],
    [{ type: "portmap", backend: "nftables" }, { programs: ["nft"] }, "ok"],
    [{ type: "firewall" }, { programs: ["nft"] }, "error"],
    [{ type: "firewall", backend: "firewalld" }, {}, "ok"],
    [bridge, { programs: ["iptables"] }, "ok"],
  ] as const) {
    const [found, ...others] = await examined([plugin], made);
    assert.equal(found?.level, level, JSON.stringify([plugin, made, found]));
    assert.equal(others.length, 0);
  }
  // Each plugin by itself: the one that has nothing else makes it an error.
  const [both] = await examined([bridge, { type: "firewall" }], { programs: ["nft"] });
  assert.equal(both?.level, "error");
  const found = await examined([{ type: "firewall" }], { runs: "firewalld" });
  assert.deepEqual(
    found.map(({ level }) => level),
    ["note"],
    "it takes firewalld by itself",
  );
});

test("a bridge's name is one word of what is printed, and none that is no name is", async () => {
  for (const [name, word] of [
    ["br0", "br0"],
    ["a';id;'", `'a'\\'';id;'\\'''`],
    ["$(id)", "'$(id)'"],
    ["a b", "INTERFACE"],
    ["a\nid", "INTERFACE"],
    ["--help", "INTERFACE"],
    [7, "cni0"],
  ] as const) {
    const made = { programs: ["iptables"], runs: "firewalld" };
    const [found] = await examined([{ ...bridge, bridge: name }], made);
    const mend = `firewall-cmd --permanent --zone=trusted --add-interface=${word} && firewall-cmd --reload`;
    assert.equal(found?.mend, mend);
  }
});
