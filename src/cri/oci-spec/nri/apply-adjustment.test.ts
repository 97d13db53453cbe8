// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { plainHost } from "../../../../test/support/spec-input.ts";
import { HoldingMounts } from "../../../base/os/mount-table.ts";
import type { ContainerAdjustmentInit } from "../../../nri/messages.ts";
import type { OciLinux, OciSpec } from "../../../oci/spec.ts";
import { codec } from "../../../rpc/codec.ts";
import { noRuntimeFeatures } from "../runtime-features.ts";
import { type AdjustTools, applyAdjustment } from "./apply-adjustment.ts";

const tools: AdjustTools = {
  host: plainHost,
  features: {
    ...noRuntimeFeatures,
    netDevices: true,
    rdtSchemata: true,
    scheduling: true,
    memoryPolicies: ["MPOL_BIND"],
  },
  blockio: async (name) => ({ weight: name.length }),
  readMounts: async () =>
    new HoldingMounts([
      {
        mountPoint: "/",
        root: "/",
        device: "8:1",
        type: "ext4",
        source: "/dev/sda1",
        options: [],
        superOptions: [],
        propagation: ["master:1"],
      } as never,
    ]),
  cdiFolders: [],
};

const before: OciSpec = {
  ociVersion: "1.1.0",
  process: {
    user: { uid: 0, gid: 0 },
    args: ["sh"],
    env: ["A=1", "B=2"],
    cwd: "/",
    rlimits: [{ type: "RLIMIT_NOFILE", soft: 1, hard: 1 }],
    ioPriority: { class: "IOPRIO_CLASS_IDLE", priority: 0 },
    scheduler: { policy: "SCHED_BATCH" },
  },
  root: { path: "rootfs" },
  mounts: [
    { destination: "/proc", type: "proc", source: "proc" },
    { destination: "/data", type: "bind", source: "/x" },
  ],
  hooks: { prestart: [{ path: "/first" }] },
  annotations: { kept: "1", gone: "1" },
  linux: {
    namespaces: [{ type: "pid" }, { type: "ipc", path: "/proc/1/ns/ipc" }],
    devices: [{ path: "/dev/old", type: "c", major: 1, minor: 1 }],
    sysctl: { a: "1" },
    intelRdt: { closID: "gold" },
    resources: {
      cpu: { shares: 2, cpus: "0-3" },
      memory: { limit: 1, swap: 2 },
      devices: [{ allow: false, access: "rwm" }],
      blockIO: { weight: 500 },
    },
  },
};

async function adjusted(adjust: ContainerAdjustmentInit): Promise<OciSpec> {
  const whole = codec("nri.pkg.api.v1alpha1.ContainerAdjustment").normalize(adjust);
  const untouched = structuredClone(before);
  const after = await applyAdjustment(before, whole, tools);
  assert.deepEqual(before, untouched);
  return after;
}

interface Case {
  readonly name: string;
  readonly adjust: ContainerAdjustmentInit;
  readonly of: (spec: OciSpec) => unknown;
  readonly is: unknown;
}

const inLinux = (
  name: string,
  linux: ContainerAdjustmentInit["linux"],
  of: (linux: OciLinux) => unknown,
  is: unknown,
): Case => ({ name, adjust: { linux }, of: (spec) => of(spec.linux), is });

const mount = { type: "bind", source: "/y", options: ["rbind", "rslave"] };
const cases: readonly Case[] = [
  {
    name: "annotations",
    adjust: { annotations: { "-gone": "", new: "2" } },
    of: ({ annotations }) => annotations,
    is: { kept: "1", new: "2" },
  },
  {
    name: "a variable in its place, a new one, and one that goes",
    adjust: {
      env: [
        { key: "C", value: "3" },
        { key: "A", value: "x=y" },
        { key: "-B", value: "" },
      ],
    },
    of: ({ process: { env } }) => env,
    is: ["A=x=y", "C=3"],
  },
  {
    name: "arguments",
    adjust: { args: ["run", "it"] },
    of: ({ process: { args } }) => args,
    is: ["run", "it"],
  },
  {
    name: "arguments over another plugin's",
    adjust: { args: ["", "run"] },
    of: ({ process: { args } }) => args,
    is: ["run"],
  },
  {
    name: "hooks behind those that are there",
    adjust: {
      hooks: { prestart: [{ path: "/second", timeout: { value: 5 } }], poststop: [{ path: "/p" }] },
    },
    of: ({ hooks }) => hooks,
    is: {
      prestart: [{ path: "/first" }, { path: "/second", args: [], env: [], timeout: 5 }],
      poststop: [{ path: "/p", args: [], env: [] }],
    },
  },
  {
    name: "mounts as a runtime has them",
    adjust: {
      mounts: [
        { destination: "/b/c" },
        { destination: "/b" },
        { destination: "/a", options: ["ro", "relabel"] },
      ],
    },
    of: ({ mounts }) => mounts,
    is: [
      { destination: "/a", options: ["ro"] },
      { destination: "/b", options: [] },
      { destination: "/data", type: "bind", source: "/x" },
      { destination: "/proc", type: "proc", source: "proc" },
      { destination: "/b/c", options: [] },
    ],
  },
  {
    name: "priorities",
    adjust: {
      linux: {
        ioPriority: { class: "IOPRIO_CLASS_BE", priority: 4 },
        scheduler: { policy: "SCHED_FIFO", priority: 10, flags: ["SCHED_FLAG_RESET_ON_FORK"] },
      },
    },
    of: ({ process: { ioPriority, scheduler } }) => [ioPriority, scheduler],
    is: [
      { class: "IOPRIO_CLASS_BE", priority: 4 },
      { policy: "SCHED_FIFO", priority: 10, flags: ["SCHED_FLAG_RESET_ON_FORK"] },
    ],
  },
  {
    name: "no priorities",
    adjust: {
      linux: {
        ioPriority: { class: "IOPRIO_CLASS_NONE" },
        scheduler: { policy: "SCHED_NONE" },
      },
    },
    of: ({ process }) => ["ioPriority" in process, "scheduler" in process],
    is: [false, false],
  },
  {
    name: "mounts by depth, one of them anew and one away",
    adjust: {
      mounts: [
        { destination: "/data/below", ...mount },
        { destination: "-/proc" },
        { destination: "/data", ...mount },
      ],
    },
    of: ({ mounts, linux: { rootfsPropagation } }) => [
      ...mounts.map(({ destination, source }) => [destination, source]),
      rootfsPropagation,
    ],
    is: [["/data", "/y"], ["/data/below", "/y"], "rslave"],
  },
  {
    name: "rlimits, one of a kind",
    adjust: {
      rlimits: [
        { type: "RLIMIT_NOFILE", soft: 5, hard: 2n ** 64n - 1n },
        { type: "RLIMIT_CORE", soft: 0, hard: 0 },
      ],
    },
    of: ({ process: { rlimits } }) => rlimits,
    is: [
      { type: "RLIMIT_NOFILE", soft: 5, hard: 2n ** 64n - 1n },
      { type: "RLIMIT_CORE", soft: 0, hard: 0 },
    ],
  },
  inLinux(
    "devices with their rules",
    {
      devices: [
        { path: "-/dev/old" },
        { path: "/dev/c", type: "c", major: 1, minor: 3, fileMode: { value: 0o666 } },
        { path: "/dev/b", type: "b", major: 8, minor: 0 },
      ],
    },
    ({ devices, resources }) => [devices, resources.devices],
    [
      [
        { path: "/dev/c", type: "c", major: 1, minor: 3, fileMode: 0o666 },
        { path: "/dev/b", type: "b", major: 8, minor: 0 },
      ],
      [
        { allow: false, access: "rwm" },
        { allow: true, type: "c", major: 1, minor: 3, access: "rw" },
        { allow: true, type: "b", major: 8, minor: 0, access: "rwm" },
      ],
    ],
  ),
  inLinux(
    "limits beside those that hold",
    {
      resources: {
        cpu: { cpus: "1", quota: { value: -1 } },
        memory: { limit: { value: 64 } },
        hugepageLimits: [{ pageSize: "2MB", limit: 4n }],
        unified: { "memory.high": "5" },
        pids: { limit: -1 },
      },
    },
    ({ resources: { cpu, memory, hugepageLimits, unified, pids } }) => ({
      cpu,
      memory,
      hugepageLimits,
      unified,
      pids,
    }),
    {
      cpu: { shares: 2, cpus: "1", quota: -1 },
      memory: { limit: 64, swap: 64 },
      hugepageLimits: [{ pageSize: "2MB", limit: 4 }],
      unified: { "memory.high": "5" },
      pids: { limit: -1 },
    },
  ),
  inLinux(
    "each limit of memory",
    {
      resources: {
        memory: {
          limit: { value: 64 },
          swap: { value: 128 },
          reservation: { value: 32 },
          swappiness: { value: 5 },
          disableOomKiller: { value: true },
        },
      },
    },
    ({ resources: { memory } }) => memory,
    { limit: 64, swap: 128, reservation: 32, swappiness: 5, disableOOMKiller: true },
  ),
  inLinux(
    "a limit of 0, which is none",
    { resources: { memory: { limit: { value: 0 } } } },
    ({ resources: { memory } }) => memory,
    { limit: 1, swap: 2 },
  ),
  inLinux(
    "pipes and unbuffered devices, of modes with a type",
    {
      devices: [
        { path: "/dev/p", type: "p", fileMode: { value: 0o10644 } },
        { path: "/dev/u", type: "u", major: 1, minor: 2 },
      ],
    },
    ({ devices, resources }) => [devices?.slice(1), resources.devices?.slice(1)],
    [
      [
        { path: "/dev/p", type: "p", fileMode: 0o644 },
        { path: "/dev/u", type: "u", major: 1, minor: 2 },
      ],
      [{ allow: true, type: "c", major: 1, minor: 2, access: "rw" }],
    ],
  ),
  inLinux(
    "a memory policy",
    { memoryPolicy: { mode: "MPOL_BIND", nodes: "0-1", flags: ["MPOL_F_STATIC_NODES"] } },
    ({ memoryPolicy }) => memoryPolicy,
    { mode: "MPOL_BIND", nodes: "0-1", flags: ["MPOL_F_STATIC_NODES"] },
  ),
  inLinux(
    "classes",
    { resources: { blockioClass: { value: "slow" }, rdtClass: { value: "silver" } } },
    ({ resources: { blockIO }, intelRdt }) => [blockIO, intelRdt],
    [{ weight: 4 }, { closID: "silver" }],
  ),
  inLinux(
    "no classes",
    { resources: { blockioClass: { value: "" }, rdtClass: { value: "" } } },
    ({ resources: { blockIO }, intelRdt }) => [blockIO, intelRdt],
    [undefined, undefined],
  ),
  inLinux(
    "RDT anew",
    { rdt: { remove: true, schemata: { value: ["L3:0=f"] } } },
    ({ intelRdt }) => intelRdt,
    { schemata: ["L3:0=f"] },
  ),
  inLinux(
    "namespaces",
    { namespaces: [{ type: "-pid" }, { type: "ipc" }, { type: "uts", path: "/n" }] },
    ({ namespaces }) => namespaces,
    [{ type: "ipc" }, { type: "uts", path: "/n" }],
  ),
  inLinux(
    "sysctls and interfaces",
    { sysctl: { "-a": "", b: "2" }, netDevices: { eth1: { name: "in" } } },
    ({ sysctl, netDevices }) => [sysctl, netDevices],
    [{ b: "2" }, { eth1: { name: "in" } }],
  ),
  inLinux(
    "a seccomp policy whole",
    {
      seccompPolicy: {
        defaultAction: "SCMP_ACT_ERRNO",
        defaultErrno: { value: 38 },
        architectures: ["SCMP_ARCH_X86_64"],
        syscalls: [{ names: ["read"], action: "SCMP_ACT_ALLOW" }],
      },
    },
    ({ seccomp }) => seccomp,
    {
      defaultAction: "SCMP_ACT_ERRNO",
      defaultErrnoRet: 38,
      architectures: ["SCMP_ARCH_X86_64"],
      syscalls: [{ names: ["read"], action: "SCMP_ACT_ALLOW" }],
    },
  ),
];
for (const { name, adjust, of, is } of cases) {
  test(`plugins set ${name}`, async () => {
    assert.deepEqual(of(await adjusted(adjust)), is);
  });
}

test("an adjustment that says nothing changes nothing", async () => {
  assert.deepEqual(await adjusted({ linux: { resources: {} } }), before);
});

for (const { field, adjust, changes = {}, code = "FAILED_PRECONDITION" } of [
  {
    field: /linux\.scheduler: the OCI/,
    adjust: { linux: { scheduler: { policy: "SCHED_FIFO" } } },
  },
  {
    field: /linux\.io_priority: the OCI/,
    adjust: { linux: { ioPriority: { class: "IOPRIO_CLASS_BE" } } },
  },
  {
    field: /memory_policy\.mode \(MPOL_BIND\)/,
    adjust: { linux: { memoryPolicy: { mode: "MPOL_BIND" } } },
  },
  { field: /linux\.net_devices/, adjust: { linux: { netDevices: { eth1: { name: "in" } } } } },
  { field: /rdt\.schemata/, adjust: { linux: { rdt: { schemata: { value: ["L3:0=f"] } } } } },
  {
    field: /rdt\.enable_monitoring/,
    adjust: { linux: { rdt: { enableMonitoring: { value: true } } } },
  },
  {
    field: /resources\.unified: "memory\.high" is a file of cgroup v2/,
    adjust: { linux: { resources: { unified: { "memory.high": "1" } } } },
    changes: { host: { ...plainHost, cgroupVersion: 1 } },
  },
  {
    field:
      /adjust\.mounts\["\/m"\]\.propagation: "\/y" is on mount "\/", which is not a shared mount/,
    adjust: { mounts: [{ destination: "/m", source: "/y", options: ["rbind", "rshared"] }] },
    code: "INVALID_ARGUMENT",
  },
  {
    field: /CDI_devices: /,
    adjust: { CDIDevices: [{ name: "v.com/c=1" }] },
    code: "INVALID_ARGUMENT",
  },
] satisfies {
  field: RegExp;
  adjust: ContainerAdjustmentInit;
  changes?: Partial<AdjustTools>;
  code?: string;
}[]) {
  test(`what the runtime or the host cannot do is refused by its name: ${field.source}`, async () => {
    const whole = codec("nri.pkg.api.v1alpha1.ContainerAdjustment").normalize(adjust);
    const old = { ...tools, features: noRuntimeFeatures, ...changes };
    await assert.rejects(applyAdjustment(before, whole, old), { code, message: field });
  });
}

test("a score below the daemon's own is raised to that where it may not lower it", async () => {
  const host = { ...plainHost, canLowerOomScore: false, daemonOomScoreAdj: 100 };
  const whole = codec("nri.pkg.api.v1alpha1.ContainerAdjustment").normalize({
    linux: { oomScoreAdj: { value: -5 } },
  });
  const { process } = await applyAdjustment(before, whole, { ...tools, host });
  assert.equal(process.oomScoreAdj, 100);
});

test("where the host does not count swap, none is limited", async () => {
  const whole = codec("nri.pkg.api.v1alpha1.ContainerAdjustment").normalize({
    linux: { resources: { memory: { limit: { value: 64 } } } },
  });
  const host = { ...plainHost, swapAccounting: false };
  const bare = { ...before, linux: { ...before.linux, resources: {} } };
  const { linux } = await applyAdjustment(bare, whole, { ...tools, host });
  assert.deepEqual(linux.resources.memory, { limit: 64 });
});
