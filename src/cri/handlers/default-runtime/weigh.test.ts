// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultHandler } from "../../../config/defaults.ts";
import type { RuntimeFeatures } from "../../oci-spec/ports.ts";
import { noRuntimeFeatures } from "../../oci-spec/runtime-features.ts";
import type { NodeFacts } from "./node-facts.ts";
import type { ProgramIdentity } from "./program-identity.ts";
import {
  againstResult,
  againstTold,
  againstTrying,
  featuresAfter,
  parseVersion,
  type Told,
} from "./weigh.ts";

const program = (path: string): ProgramIdentity => ({
  path,
  device: "1",
  inode: "2",
  size: "3",
  modified: "4",
  changed: "5",
});
const node: NodeFacts = {
  table: defaultHandler,
  baseSpec: null,
  unseen: null,
  crun: program("/usr/bin/crun"),
  runc: program("/usr/sbin/runc"),
  criu: false,
  rdt: false,
  kernel: "6.1.0",
  cgroups: "v2",
  controllers: ["memory", "pids"],
  seccomp: true,
  apparmor: false,
  selinux: false,
  trial: "1 /pause",
};

/** As `crun --version` of Debian 12 has it. */
const debian12 = `crun version 1.8.1
commit: f8a096be060b22ccd3d5f3ebe44108517fbf6c30
rundir: /run/crun
spec: 1.0.0
+SYSTEMD +SELINUX +APPARMOR +CAP +SECCOMP +EBPF +YAJL
`;

test("what the node says decides before anything is run", () => {
  const rows: [Partial<NodeFacts>, RegExp | undefined][] = [
    [{}, undefined],
    [{ crun: null }, /there is no crun on PATH/],
    [{ criu: true }, /criu is installed/],
    [{ criu: true, runc: null }, undefined],
    [{ table: { ...defaultHandler, binaryName: "runc" } }, /names its binary_name/],
    [{ table: { ...defaultHandler, type: "io.containerd.kata.v2" } }, /another type/],
    [{ table: { ...defaultHandler, systemdCgroup: true } }, undefined],
  ];
  for (const [change, expected] of rows) {
    const against = againstTrying({ ...node, ...change });
    if (expected === undefined) assert.equal(against, undefined, JSON.stringify(change));
    else assert.match(against ?? "", expected);
  }
});

test("crun's version and what it was built with are read, of crun alone", () => {
  assert.deepEqual(parseVersion(debian12), {
    version: "1.8.1",
    builtWith: ["SYSTEMD", "SELINUX", "APPARMOR", "CAP", "SECCOMP", "EBPF", "YAJL"],
  });
  for (const text of ["", "runc version 1.1.5\n", "not crun version 2\n", "\0".repeat(9)]) {
    assert.equal(parseVersion(text).version, "");
  }
});

const debian: RuntimeFeatures = {
  ...noRuntimeFeatures,
  recursiveReadOnlyMounts: true,
  cgroupNamespaces: true,
  mountOptions: [...noRuntimeFeatures.mountOptions, "noatime", "rnoatime"],
};

const told = (features?: Partial<RuntimeFeatures>, text = debian12): Told => ({
  ...parseVersion(text),
  features: features && { ...noRuntimeFeatures, ...features },
});

test("what crun says must cover what pods have with runc", () => {
  const all: Partial<RuntimeFeatures> = { recursiveReadOnlyMounts: true, cgroupNamespaces: true };
  const mapping = { ...debian, idmapMounts: true, userNamespaces: true };
  const rows: [string, Told, RuntimeFeatures, Partial<NodeFacts>, RegExp | undefined][] = [
    ["one that tells nothing is tried", told(), debian, {}, undefined],
    ["one that tells all is tried", told(all), debian, {}, undefined],
    ["it is no crun", told(undefined, "podman 4"), debian, {}, /says that it is another program/],
    [
      "no seccomp",
      told(undefined, debian12.replace(" +SECCOMP", "")),
      debian,
      {},
      /built without SECCOMP$/,
    ],
    [
      "no systemd, where that has the cgroups",
      told(undefined, debian12.replace("+SYSTEMD ", "")),
      debian,
      { table: { ...defaultHandler, systemdCgroup: true } },
      /without SYSTEMD$/,
    ],
    ["no systemd", told(undefined, debian12.replace("+SYSTEMD ", "")), debian, {}, undefined],
    [
      "no AppArmor, where the kernel has it",
      told(undefined, debian12.replace("+APPARMOR ", "")),
      debian,
      { apparmor: true },
      /without APPARMOR$/,
    ],
    ["user namespaces are runc's alone", told(all), mapping, {}, /id-mapped mounts, user names/],
    ["and nobody knows of crun's", told(), mapping, {}, /id-mapped mounts, user namespaces/],
    ["RDT, where there is none", told(all), { ...debian, rdtSchemata: true }, {}, undefined],
    ["RDT", told(all), { ...debian, rdtSchemata: true }, { rdt: true }, /RDT schemata$/],
    ["memory policies", told(all), { ...debian, memoryPolicies: ["MPOL_BIND"] }, {}, /MPOL_BIND$/],
    ["it says that it cannot", told({ cgroupNamespaces: true }), debian, {}, /recursive read-only/],
  ];
  for (const [name, its, wanted, change, expected] of rows) {
    const against = againstTold(its, wanted, { ...node, ...change });
    if (expected === undefined) assert.equal(against, undefined, name);
    else assert.match(against ?? "", expected, name);
  }
});

const good = {
  namespaces: ["pid", "ipc", "uts", "mount", "network", "cgroup"],
  seccomp: true,
  mountOptions: ["noexec", "nodev", "nosuid", "rro"],
  limits: { memory: "64", pids: "32" },
};

test("what the kernel shows counts, whatever crun says", () => {
  const claims = told({ recursiveReadOnlyMounts: true, cgroupNamespaces: true });
  const rows: [string, Partial<typeof good>, RegExp | undefined][] = [
    ["all is there", {}, undefined],
    ["the host's network", { namespaces: ["pid", "ipc", "uts", "mount"] }, /no network namespace/],
    ["no filter", { seccomp: false }, /filters no system calls/],
    ["no limit", { limits: { memory: "max", pids: "32" } }, /no limit of memory$/],
    ["writable below", { mountOptions: ["noexec", "nodev", "nosuid"] }, /recursive read-only/],
    ["an option without effect", { mountOptions: ["noexec", "nodev", "rro"] }, /nosuid$/],
    [
      "the host's cgroups",
      { namespaces: ["pid", "ipc", "uts", "mount", "network"] },
      /cgroup namespaces$/,
    ],
  ];
  for (const its of [claims, told()]) {
    for (const [name, change, expected] of rows) {
      const tried = { result: { ...good, ...change }, limits: good.limits, facts: node };
      const against = againstResult(its, debian, tried);
      if (expected === undefined) assert.equal(against, undefined, name);
      else assert.match(against ?? "", expected, name);
    }
  }
});

test("pods get what was tried, and of the rest what crun says", () => {
  const has = featuresAfter(told({ scheduling: true, mountOptions: ["rnoatime"] }), debian, good);
  assert.deepEqual(has, {
    ...noRuntimeFeatures,
    recursiveReadOnlyMounts: true,
    cgroupNamespaces: true,
    scheduling: true,
    mountOptions: ["noexec", "nodev", "nosuid"],
  });
});
