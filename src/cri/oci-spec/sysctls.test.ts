// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultConfig } from "../../config/defaults.ts";
import { sandboxSysctls } from "./sysctls.ts";

const own = { hostNetwork: false, hostIpc: false, userNamespace: false };
const ports = { "net.ipv4.ip_unprivileged_port_start": "0" };
const ping = { "net.ipv4.ping_group_range": "0 2147483647" };

const rows = [
  { name: "defaults", requested: {}, pod: own, out: { ...ports, ...ping } },
  {
    name: "no ping range in a user namespace",
    requested: {},
    pod: { ...own, userNamespace: true },
    out: ports,
  },
  {
    name: "none on the host's network",
    requested: {},
    pod: { ...own, hostNetwork: true },
    out: {},
  },
  {
    name: "the request wins",
    requested: { "net.ipv4.ip_unprivileged_port_start": "80", "kernel.sem": "1 2 3 4" },
    pod: own,
    out: {
      ...ports,
      ...ping,
      "net.ipv4.ip_unprivileged_port_start": "80",
      "kernel.sem": "1 2 3 4",
    },
  },
  {
    name: "slashes",
    requested: { "net/ipv4/conf/eth0.1/rp_filter": "1" },
    pod: own,
    out: { ...ports, ...ping, "net/ipv4/conf/eth0.1/rp_filter": "1" },
  },
  {
    name: "mqueue",
    requested: { "fs.mqueue.msg_max": "5" },
    pod: { ...own, hostNetwork: true },
    out: { "fs.mqueue.msg_max": "5" },
  },
];

for (const { name, requested, pod, out } of rows) {
  test(`sysctls: ${name}`, () => {
    assert.deepEqual(sandboxSysctls(requested, pod, defaultConfig.cri), out);
  });
}

const refused = [
  {
    name: "net.core.somaxconn",
    pod: { ...own, hostNetwork: true },
    message: /needs a network of the pod's own/,
  },
  { name: "kernel.shmmax", pod: { ...own, hostIpc: true }, message: /needs an IPC namespace/ },
  { name: "kernel.panic", pod: own, message: /would change the whole host/ },
  { name: "vm.overcommit_memory", pod: own, message: /would change the whole host/ },
  { name: "../../x", pod: own, message: /is no sysctl/ },
];

for (const { name, pod, message } of refused) {
  test(`sysctls refuse ${name}`, () => {
    assert.throws(() => sandboxSysctls({ [name]: "1" }, pod, defaultConfig.cri), message);
  });
}
