// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { BlockList, isIP } from "node:net";
import { type CniResult, parseResult, podAddresses } from "../../../src/network/result.ts";
import { type FuzzTarget, refused } from "../target.ts";

/** What a plugin printed, which is JSON by then. */
export const target: FuzzTarget = {
  name: "cni-result",
  parses: ["src/network/result.ts"],
  dictionary: [
    '"cniVersion":"1.0.0"',
    '"interfaces":[{"name":"eth0","sandbox":"/proc/1/ns/net"}]',
    '"ips":[{"address":"10.1.0.2/16","gateway":"10.1.0.1","interface":0}]',
    '"ip4":{"ip":"10.0.0.2/8"}',
    '"ip6":{"ip":"fd00::2/64"}',
    '"interface":-1',
    '"interface":4294967296',
    "/33",
    "%eth0",
    "::ffff:1.2.3.4/120",
    "null",
    "__proto__",
  ],
  *seeds() {
    const interfaces = [
      { name: "cni0", mac: "1a:2b:3c:4d:5e:6f" },
      { name: "eth0", mac: "1a:2b:3c:4d:5e:70", sandbox: "/run/berthd/netns/x" },
    ];
    const ips = [
      { address: "10.1.0.2/16", gateway: "10.1.0.1", interface: 1 },
      { address: "fd00::2/64", interface: 1 },
      { address: "10.9.9.9/32" },
      { address: "192.168.0.1/24", interface: 0 },
    ];
    const dns = { nameservers: ["10.0.0.10"] };
    yield Buffer.from(JSON.stringify({ cniVersion: "1.0.0", interfaces, ips, routes: [], dns }));
    yield Buffer.from(
      JSON.stringify({ cniVersion: "0.2.0", ip4: { ip: "10.0.0.2/8" }, ip6: { ip: "fd00::2/64" } }),
    );
    yield Buffer.from(JSON.stringify({ cniVersion: "0.3.1", ips: null, interfaces: null }));
  },
  run(input) {
    let raw: unknown;
    try {
      raw = JSON.parse(input.toString("utf8"));
    } catch {
      return;
    }
    let result: CniResult;
    try {
      result = parseResult("net", raw);
    } catch (error) {
      refused(error, "INTERNAL"); // a plugin's fault is none of the caller's
      assert.match((error as Error).message, /^network "net" answered /);
      return;
    }
    const written = raw as Written;
    const stated = [
      ...(written.ips ?? []),
      ...[written.ip4, written.ip6].flatMap((ip) => ip ?? []),
    ];
    assert.equal(result.ips.length, stated.length);
    assert.deepEqual(
      result.interfaces.map(({ name }) => name),
      (written.interfaces ?? []).map(({ name }) => name),
    );
    for (const [at, ip] of result.ips.entries()) {
      const said = stated[at];
      const [address, length] = String(said?.address ?? said?.ip).split("/");
      assert.equal(ip.address, address);
      assert.equal(ip.family, isIP(ip.address));
      // What the kernel and Go's parser take: no zone, and a length that the family has.
      new BlockList().addSubnet(ip.address, Number(length), ip.family === 4 ? "ipv4" : "ipv6");
      assert.ok(!ip.address.includes("%"));
      const index = said?.interface ?? -1;
      assert.equal(ip.interface, index < 0 ? undefined : result.interfaces[index]);
      assert.ok(index < 0 || ip.interface !== undefined, "an interface that is not there");
    }
    checkAddresses(result);
  },
};

interface Written {
  readonly interfaces?: readonly { readonly name: string }[] | null;
  readonly ips?: readonly WrittenIp[] | null;
  readonly ip4?: WrittenIp | null;
  readonly ip6?: WrittenIp | null;
}

interface WrittenIp {
  readonly address?: string;
  readonly ip?: string;
  readonly interface?: number | null;
}

function checkAddresses(result: CniResult): void {
  const ours = result.ips.filter(
    (ip) => ip.interface === undefined || ip.interface.name === "eth0",
  );
  for (const preference of ["ipv4", "ipv6", "cni"] as const) {
    const found = podAddresses(result, "eth0", preference);
    assert.deepEqual([...found].sort(), ours.map(({ address }) => address).sort());
    const family = preference === "ipv6" ? 6 : 4;
    const preferred = ours.find((ip) => ip.family === family);
    const first = preference === "cni" ? ours[0] : (preferred ?? ours[0]);
    assert.equal(found[0], first?.address);
  }
}
