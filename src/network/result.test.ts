// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { type IpPreference, parseResult, podAddresses } from "./result.ts";

const interfaces = [
  { name: "br0", mac: "aa:bb" },
  { name: "veth1" },
  { name: "eth0", mac: "cc:dd", sandbox: "/run/netns/x" },
];

const cases: readonly {
  name: string;
  raw: unknown;
  preference: IpPreference;
  addresses: readonly string[];
}[] = [
  {
    name: "1.0.0 with interfaces",
    raw: {
      cniVersion: "1.0.0",
      interfaces,
      ips: [{ address: "10.1.0.2/16", gateway: "10.1.0.1", interface: 2 }],
      routes: [{ dst: "0.0.0.0/0" }],
      dns: {},
    },
    preference: "ipv4",
    addresses: ["10.1.0.2"],
  },
  {
    name: "0.4.0, IPv6 before IPv4, IPv4 preferred",
    raw: {
      cniVersion: "0.4.0",
      interfaces,
      ips: [
        { version: "6", address: "fd00::2/64", interface: 2 },
        { version: "4", address: "10.1.0.2/16", interface: 2 },
      ],
    },
    preference: "ipv4",
    addresses: ["10.1.0.2", "fd00::2"],
  },
  {
    name: "the plugins' order",
    raw: { ips: [{ address: "fd00::2/64" }, { address: "10.1.0.2/16" }] },
    preference: "cni",
    addresses: ["fd00::2", "10.1.0.2"],
  },
  {
    name: "IPv6 preferred but absent",
    raw: { ips: [{ address: "10.1.0.2/16" }, { address: "10.1.0.3/16" }] },
    preference: "ipv6",
    addresses: ["10.1.0.2", "10.1.0.3"],
  },
  {
    name: "an address of the host side, which is not the pod's",
    raw: {
      interfaces,
      ips: [
        { address: "10.1.0.1/16", interface: 0 },
        { address: "10.1.0.2/16", interface: 2 },
      ],
    },
    preference: "ipv4",
    addresses: ["10.1.0.2"],
  },
  {
    name: "0.2.0",
    raw: { cniVersion: "0.2.0", ip4: { ip: "10.1.0.2/16" }, ip6: { ip: "fd00::2/64" }, dns: {} },
    preference: "ipv6",
    addresses: ["fd00::2", "10.1.0.2"],
  },
  { name: "no address", raw: { cniVersion: "1.0.0" }, preference: "ipv4", addresses: [] },
];

for (const { addresses, name, preference, raw } of cases) {
  test(`podAddresses: ${name}`, () => {
    assert.deepEqual(podAddresses(parseResult("net", raw), "eth0", preference), addresses);
  });
}

const bad = [
  { name: "nothing", raw: undefined },
  { name: "a text", raw: "10.1.0.2" },
  { name: "an address that is none", raw: { ips: [{ address: "pod/16" }] } },
  { name: "an address without its length", raw: { ips: [{ address: "10.1.0.2" }] } },
  { name: "an address longer than its family", raw: { ips: [{ address: "10.1.0.2/33" }] } },
  { name: "an address with a zone", raw: { ips: [{ address: "fe80::1%eth0/64" }] } },
  {
    name: "an interface that is not there",
    raw: { ips: [{ address: "10.1.0.2/16", interface: 0 }] },
  },
  { name: "an index that is none", raw: { ips: [{ address: "10.1.0.2/16", interface: "eth0" }] } },
];

for (const { name, raw } of bad) {
  test(`parseResult refuses ${name}`, () => {
    assert.throws(() => parseResult("net", raw), { code: "INTERNAL", message: /"net" answered/ });
  });
}

test("parseResult answers or throws a fault, whatever it is given", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (raw) => {
      try {
        parseResult("net", raw);
      } catch (error) {
        assert.equal((error as { code?: string }).code, "INTERNAL");
      }
    }),
  );
});
