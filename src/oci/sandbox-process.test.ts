// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { readSandboxProcess } from "./sandbox-process.ts";

interface Change {
  readonly hostname?: string;
  readonly sysctl?: Readonly<Record<string, string>>;
  readonly namespaces?: readonly { readonly type: string; readonly path?: string }[];
  readonly uidMappings?: readonly object[];
  readonly gidMappings?: readonly object[];
}

function specOf({ hostname, ...linux }: Change): object {
  return {
    ociVersion: "1.0.2",
    process: {
      user: { uid: 65_535, gid: 65_535 },
      args: ["/pause"],
      cwd: "/",
      capabilities: {},
      noNewPrivileges: true,
    },
    root: { path: "/run/pause", readonly: true },
    ...(hostname !== undefined && { hostname }),
    mounts: [],
    linux: {
      resources: {},
      cgroupsPath: "/k8s.io/a",
      namespaces: [{ type: "ipc" }, { type: "uts" }, { type: "network", path: "/run/netns/a" }],
      ...linux,
    },
  };
}

const host = [{ type: "mount" }];
const users = [{ type: "user", path: "/run/user" }];
const all = { containerID: 0, hostID: 100_000, size: 65_536 };
const rows: readonly (readonly [what: string, spec: Change, why: string])[] = [
  ["nothing special", {}, ""],
  ["a name", { hostname: "pod" }, ""],
  ["sysctls of the network", { sysctl: { "net.ipv4.ip_forward": "1", "net/core/x": "1" } }, ""],
  [
    "sysctls of IPC and of UTS",
    { sysctl: { "kernel.shmmax": "1", "fs.mqueue.msg_max": "1", "kernel.domainname": "a" } },
    "",
  ],
  [
    "a sysctl of the node",
    { sysctl: { "vm.swappiness": "1" } },
    "linux.sysctl: vm.swappiness is not of a namespace here",
  ],
  [
    "a sysctl of the node, with slashes",
    { sysctl: { "kernel/core_pattern": "|/x" } },
    "linux.sysctl: kernel/core_pattern is not of a namespace here",
  ],
  [
    "a sysctl of the node's network",
    { sysctl: { "net.ipv4.ip_forward": "1" }, namespaces: host },
    "linux.sysctl: net.ipv4.ip_forward is not of a namespace here",
  ],
  [
    "a sysctl of the node's IPC",
    { sysctl: { "kernel.sem": "1" }, namespaces: host },
    "linux.sysctl: kernel.sem is not of a namespace here",
  ],
  [
    "a name for the node",
    { hostname: "pod", namespaces: host },
    "hostname: there is no UTS namespace",
  ],
  [
    "a network that nobody has made",
    { namespaces: [{ type: "network" }] },
    "linux.namespaces: a network namespace is to be made",
  ],
  ["users of its own", { namespaces: users, uidMappings: [all], gidMappings: [all] }, ""],
  [
    "users of its own, of whom none is root",
    { namespaces: users, uidMappings: [{ ...all, containerID: 1 }], gidMappings: [all] },
    "linux.uidMappings: nobody is the pod's root",
  ],
  [
    "groups of its own, of which none is root's",
    { namespaces: users, uidMappings: [all], gidMappings: [{ ...all, size: 0 }] },
    "linux.gidMappings: nobody is the pod's root",
  ],
];

for (const [what, spec, why] of rows) {
  test(`a sandbox process with ${what} is ${why === "" ? "one" : "a shim's"}`, () => {
    const read = readSandboxProcess(specOf(spec));
    assert.equal("why" in read ? read.why : "", why);
  });
}
