// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import test from "node:test";
import { isIdle } from "./idle-plugins.ts";

interface Case {
  readonly is: string;
  readonly plugin: Readonly<Record<string, unknown>>;
  readonly args?: Readonly<Record<string, unknown>>;
  readonly cniVersion?: string;
  readonly prev?: unknown;
  readonly idle: boolean;
}

const portmap = { type: "portmap", capabilities: { portMappings: true } };
const bandwidth = { type: "bandwidth", capabilities: { bandwidth: true } };
const cases: readonly Case[] = [
  { is: "portmap without ports", plugin: portmap, idle: true },
  {
    is: "portmap without ports, with settings",
    plugin: { ...portmap, snat: true, backend: "nftables", conditionsV4: ["-s", "10.0.0.0/8"] },
    idle: true,
  },
  { is: "portmap with ports", plugin: portmap, args: { portMappings: [1] }, idle: false },
  {
    is: "portmap that gets no ports",
    plugin: { type: "portmap", capabilities: {} },
    args: { portMappings: [1] },
    idle: true,
  },
  { is: "portmap as the first plugin", plugin: portmap, prev: undefined, idle: false },
  {
    is: "portmap with ports in the file",
    plugin: { ...portmap, runtimeConfig: { portMappings: [] } },
    idle: false,
  },
  { is: "portmap with a key of its own", plugin: { ...portmap, audit: true }, idle: false },
  { is: "portmap before chains", plugin: portmap, cniVersion: "0.2.0", idle: false },
  { is: "bandwidth without limits", plugin: bandwidth, idle: true },
  { is: "bandwidth beside ports", plugin: bandwidth, args: { portMappings: [1] }, idle: true },
  { is: "bandwidth with limits", plugin: bandwidth, args: { bandwidth: {} }, idle: false },
  {
    is: "bandwidth with limits in the file",
    plugin: { ...bandwidth, ingressRate: 1000, ingressBurst: 1000 },
    idle: false,
  },
  {
    is: "bandwidth with limits in Go's other letter case",
    plugin: { ...bandwidth, IngressRate: 1000, IngressBurst: 1000 },
    idle: false,
  },
  { is: "tuning with nothing set", plugin: { type: "tuning" }, idle: true },
  { is: "tuning with a sysctl", plugin: { type: "tuning", sysctl: {} }, idle: false },
  { is: "tuning with an MTU", plugin: { type: "tuning", mtu: 1400 }, idle: false },
  { is: "tuning with args", plugin: { type: "tuning", args: { cni: {} } }, idle: false },
  { is: "firewall", plugin: { type: "firewall" }, idle: false },
  { is: "a name of JavaScript's", plugin: { type: "constructor" }, idle: false },
];

for (const { args = {}, cniVersion = "1.0.0", idle, is, plugin, ...rest } of cases) {
  test(`a plugin ${idle ? "has nothing to do" : "is run"}: ${is}`, () => {
    const prev = "prev" in rest ? rest.prev : { ips: [] };
    const wanted = Object.keys(plugin["capabilities"] ?? {});
    const conf = { type: String(plugin["type"]), capabilities: wanted, raw: plugin };
    assert.equal(isIdle({ cniVersion }, conf, args, prev), idle);
  });
}
