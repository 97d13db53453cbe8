// SPDX-License-Identifier: Apache-2.0

import assert from "node:assert/strict";
import { test } from "node:test";
import { type FaultCode, fault, isFault } from "../../src/base/errors.ts";
import { defaultConfig, defaultHandler } from "../../src/config/defaults.ts";
import { buildContainerSpec } from "../../src/cri/oci-spec/build-container-spec.ts";
import type {
  ContainerSpecInput,
  HostFacts,
  RuntimeFeatures,
  SandboxSpecInput,
  SpecServices,
} from "../../src/cri/oci-spec/ports.ts";
import { ProfileReader } from "../../src/cri/oci-spec/seccomp/profile-reader.ts";
import type { ContainerConfigInit, PodSandboxConfigInit } from "../../src/gen/cri.gen.ts";
import type { Image, ImageConfig } from "../../src/images/ports.ts";
import type { RootfsReader } from "../../src/oci/rootfs/ports.ts";
import type { OciSpec } from "../../src/oci/spec.ts";
import { codec } from "../../src/rpc/codec.ts";
import { searchAccounts } from "../../src/trees/accounts/passwd-file.ts";

/** A plain cgroup v2 host with everything that specs can ask for, but LSMs. */
export const plainHost: HostFacts = {
  cgroupVersion: 2,
  cgroupHybrid: false,
  cgroupNamespaces: true,
  cgroupControllers: ["cpu", "cpuset", "io", "memory", "hugetlb", "pids"],
  capabilities: [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_SYS_CHROOT",
    "CAP_SYS_ADMIN",
    "CAP_MKNOD",
    "CAP_AUDIT_WRITE",
    "CAP_SETFCAP",
  ],
  seccomp: true,
  apparmor: false,
  selinux: false,
  swapAccounting: true,
  daemonOomScoreAdj: 0,
  canLowerOomScore: true,
  hugepageSizes: ["2MB", "1GB"],
  kernelRelease: "6.1.0-38-amd64",
  architecture: "amd64",
  hostname: "node-1",
};

/** No AppArmor, no RDT, no classes. */
export const testServices: SpecServices = {
  apparmor: {
    byDefault: {
      name: "berth-default",
      ensure: async () => "there is no AppArmor in tests",
      describe: () => ({ enabled: false, defaultProfile: "berth-default", problem: "" }),
    },
    isLoaded: async () => false,
  },
  rdt: { list: async () => undefined },
  blockio: { read: async () => undefined },
  delegatesCgroups: async () => true,
  profiles: new ProfileReader(),
  pulledProfile: async (reference) => {
    throw fault("NOT_FOUND", `no profile "${reference}" in tests`);
  },
};

export const allFeatures: RuntimeFeatures = {
  recursiveReadOnlyMounts: true,
  mountOptions: ["noexec", "nodev", "nosuid", "rnoexec"],
  idmapMounts: true,
  userNamespaces: true,
  cgroupNamespaces: true,
  netDevices: true,
  rdtSchemata: true,
  rdtMonitoring: true,
  scheduling: true,
  memoryPolicies: ["MPOL_DEFAULT", "MPOL_BIND"],
};

/** An image's file system of the given text files and nothing else. */
export function memoryRootfs(files: Readonly<Record<string, string>> = {}): RootfsReader {
  return {
    searchAccounts: async (path, query) => {
      const text = files[path];
      return searchAccounts(query, text === undefined ? undefined : Buffer.from(text));
    },
    copyDirectory: async () => undefined,
  };
}

const emptyImageConfig: ImageConfig = {
  user: "",
  env: [],
  entrypoint: [],
  cmd: ["/bin/sh"],
  workingDir: "",
  volumes: [],
  stopSignal: "",
  labels: {},
};

export function testImage(config: Partial<ImageConfig> = {}): Image {
  return {
    id: `sha256:${"0".repeat(64)}` as Image["id"],
    repoTags: ["localhost/test:1"],
    repoDigests: [],
    sizeBytes: 1n,
    pinned: false,
    chainId: `sha256:${"1".repeat(64)}`,
    config: { ...emptyImageConfig, ...config },
    platform: { os: "linux", architecture: "amd64", variant: "" },
    layers: 1,
  };
}

const pod: PodSandboxConfigInit = {
  metadata: { name: "web", uid: "uid-1", namespace: "default", attempt: 0 },
  hostname: "web",
  logDirectory: "/var/log/pods/default_web_uid-1",
};

type SandboxChanges = Partial<Omit<SandboxSpecInput, "config">> & {
  readonly config?: PodSandboxConfigInit;
};

/** A sandbox on its own network; changes win. */
export function sandboxInput({ config, ...changes }: SandboxChanges = {}): SandboxSpecInput {
  return {
    id: "sb1",
    config: codec("runtime.v1.PodSandboxConfig").normalize({ ...pod, ...config }),
    netnsPath: "/run/berthd/netns/sb1",
    handler: defaultHandler,
    features: allFeatures,
    cri: defaultConfig.cri,
    host: plainHost,
    files: {
      hostname: "/s/hostname",
      hosts: "/s/hosts",
      resolvConf: "/s/resolv.conf",
      shm: "/s/shm",
    },
    pauseRootfs: "/var/lib/berthd/pause/rootfs",
    ...changes,
  };
}

type ContainerChanges = Partial<Omit<ContainerSpecInput, "config" | "sandbox" | "image">> & {
  readonly config?: ContainerConfigInit;
  readonly pod?: PodSandboxConfigInit;
  readonly imageConfig?: Partial<ImageConfig>;
  readonly sandboxPid?: number;
};

/** A container in that sandbox that runs the image's shell; changes win. */
export function containerInput(changes: ContainerChanges = {}): ContainerSpecInput {
  const { config, pod: podChanges, imageConfig, sandboxPid = 4242, ...rest } = changes;
  return {
    id: "c1",
    sandbox: {
      id: "sb1",
      pid: sandboxPid,
      netnsPath: "/run/berthd/netns/sb1",
      config: codec("runtime.v1.PodSandboxConfig").normalize({ ...pod, ...podChanges }),
    },
    config: codec("runtime.v1.ContainerConfig").normalize({
      metadata: { name: "app", attempt: 0 },
      ...config,
    }),
    image: testImage(imageConfig),
    imageName: "localhost/test:1",
    handler: defaultHandler,
    features: allFeatures,
    cri: defaultConfig.cri,
    host: plainHost,
    files: {
      hostname: "/s/hostname",
      hosts: "/s/hosts",
      resolvConf: "/s/resolv.conf",
      shm: "/s/shm",
    },
    rootfs: memoryRootfs(),
    volumesDir: "/nonexistent/volumes",
    imageUsage: async () => ({ sizeBytes: 0n, inodes: 0n }),
    signal: new AbortController().signal,
    ...rest,
  };
}

/** A request that must be refused, and how. */
export interface Refusal {
  readonly name: string;
  readonly changes: ContainerChanges;
  readonly code: FaultCode;
  readonly message: RegExp;
}

/** One test a row: building the container's spec throws that fault. */
export function testRefusals(rows: readonly Refusal[]): void {
  for (const { name, changes, code, message } of rows) {
    test(`buildContainerSpec refuses ${name}`, async () => {
      await assert.rejects(
        buildContainerSpec(containerInput(changes), testServices),
        (error: unknown) => {
          assert.ok(isFault(error, code), String(error));
          assert.match(error.message, message);
          return true;
        },
      );
    });
  }
}

/** The OCI spec of a container. */
export async function specOf(
  changes: ContainerChanges = {},
  services: Partial<SpecServices> = {},
): Promise<OciSpec> {
  const input = containerInput(changes);
  return (await buildContainerSpec(input, { ...testServices, ...services })).spec;
}
