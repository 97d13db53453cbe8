// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { run } from "../../../test/support/run.ts";
import { scratch } from "../../../test/support/scratch.ts";
import { loadConfDir } from "../../network/conf-dir.ts";
import { Host } from "../host.ts";
import { takenFindings } from "./network-ranges.ts";

/** What is said where the node has such an address on an interface, and the network's file after what is printed. */
async function examined(ipam: object, cidr: string, name = "lan") {
  await using home = await scratch({ prefix: "it's ranges" });
  const file = path.join(home.path, "10-pods.conflist");
  const plugins = [{ type: "bridge", bridge: "pods'0", ipam: { type: "host-local", ...ipam } }];
  const other = { type: "tuning", note: "10x99.0.0/16 110.99.0.0/16" };
  await writeFile(
    file,
    JSON.stringify({ cniVersion: "1.0.0", name: "pods", plugins: [...plugins, other] }),
  );
  const { networks } = await loadConfDir(home.path, 0);
  const family = cidr.includes(":") ? "IPv6" : "IPv4";
  const [address = ""] = cidr.split("/");
  const one = { address, cidr, family, netmask: "", mac: "", internal: false, scopeid: 0 } as const;
  const interfaces = { [name]: [one] } as Parameters<typeof takenFindings>[2];
  const found = await takenFindings(new Host(), networks, interfaces);
  const mend = found[0]?.mend ?? "";
  if (mend.startsWith("sed ")) {
    const { code } = await run("sh", ["-c", mend.replace("berth doctor", "true")]);
    assert.equal(code, 0, mend);
  }
  return { found, mend, text: await readFile(file, "utf8") };
}

const subnet = "10.99.0.0/16";

test("addresses that pods are given are told where another interface has them", async () => {
  for (const [ipam, cidr, isTaken] of [
    [{ subnet }, "10.99.7.1/24", true],
    [{ subnet }, "10.99.7.1/16", true],
    [{ ranges: [[{ subnet }]] }, "10.99.7.1/32", true],
    // The pods' own route wins over a wider one.
    [{ subnet }, "10.1.2.3/8", false],
    [{ subnet }, "10.99.2.3/8", true],
    [{ subnet, rangeStart: "10.99.8.0" }, "10.99.7.1/24", false],
    [{ subnet, rangeStart: "10.99.8.0" }, "10.99.8.1/24", true],
    [{ subnet, rangeEnd: "10.99.6.255" }, "10.99.7.1/24", false],
    [{ subnet, rangeStart: "10.99.7.200", rangeEnd: "10.99.9.9" }, "10.99.7.1/24", true],
    [{ subnet }, "192.168.0.1/24", false],
    [{ subnet: "fd00:99::/64" }, "fd00:99::7/64", true],
    [{ subnet: "fd00:99::/64", rangeStart: "fd00:99::8" }, "fd00:99::7/128", false],
  ] as const) {
    const { found } = await examined(ipam, cidr);
    assert.equal(found.length, isTaken ? 1 : 0, `${JSON.stringify(ipam)} ${cidr}`);
  }
  for (const name of ["pods'0", "vethab", "flannel.1", "cilium_host"])
    assert.deepEqual((await examined({ subnet }, "10.99.7.1/24", name)).found, [], name);
});

test("the network gets another subnet where nothing else is in it, and an editor where something is", async () => {
  const { mend, text } = await examined({ ranges: [[{ subnet }]] }, "10.99.7.1/24");
  assert.match(mend, /^sed -i /);
  assert.match(text, /"ranges":\[\[\{"subnet":"10\.50\.0\.0\/16"\}\]\]/);
  assert.match(text, /"note":"10x99\.0\.0\/16 110\.99\.0\.0\/16"/);
  for (const ipam of [
    { subnet, gateway: "10.99.0.1" },
    { subnet, rangeStart: "10.99.7.0" },
    { ranges: [[{ subnet, rangeEnd: "10.99.9.0" }]] },
    { subnet: "10.99.0.0/15" },
    { subnet: "fd00:99::/64" },
  ]) {
    const cidr = ipam.subnet?.includes(":") === true ? "fd00:99::7/64" : "10.99.7.1/24";
    assert.match((await examined(ipam, cidr)).mend, /^vi '.*conflist' # another subnet/);
  }
});

test("nothing is printed that deletes an interface", async () => {
  for (const name of ["lan", "old0", "docker0"])
    assert.doesNotMatch((await examined({ subnet }, "10.99.7.1/24", name)).mend, /\bdel(ete)?\b/);
});
