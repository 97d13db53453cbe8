// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { plainHost } from "../../../../test/support/spec-input.ts";
import type { ContainerAdjustmentInit } from "../../../nri/messages.ts";
import type { OciLinux, OciSpec } from "../../../oci/spec.ts";
import { codec } from "../../../rpc/codec.ts";
import { noRuntimeFeatures } from "../runtime-features.ts";
import { type AdjustTools, applyAdjustment } from "./apply-adjustment.ts";

const tools: AdjustTools = {
  host: plainHost,
  features: { ...noRuntimeFeatures, netDevices: true },
  blockio: async (name) => ({ weight: name.length }),
};

const before: OciSpec = {
  ociVersion: "1.1.0",
  process: {
    user: { uid: 0, gid: 0 },
    args: ["sh"],
    env: ["A=1", "B=2"],
    cwd: "/",
    rlimits: [{ type: "RLIMIT_NOFILE", soft: 1, hard: 1 }],
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

test("what the runtime or the daemon does not know is refused by its name", async () => {
  const scheduler = codec("nri.pkg.api.v1alpha1.ContainerAdjustment").normalize({
    linux: { scheduler: { policy: "SCHED_FIFO" } },
  });
  await assert.rejects(applyAdjustment(before, scheduler, tools), /adjust\.linux\.scheduler/);
  const interfaces = codec("nri.pkg.api.v1alpha1.ContainerAdjustment").normalize({
    linux: { netDevices: { eth1: { name: "in" } } },
  });
  const old = { ...tools, features: noRuntimeFeatures };
  await assert.rejects(applyAdjustment(before, interfaces, old), /adjust\.linux\.net_devices/);
});
