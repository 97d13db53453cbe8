// SPDX-License-Identifier: Apache-2.0

/**
 * The OCI runtime specification's config.json, as far as Linux containers need it. Field names are
 * the JSON's own. A 64-bit quantity may be a bigint where a number would lose digits: write such a
 * spec with encodeOciSpec (encode-spec.ts), never with JSON.stringify alone.
 */
export interface OciSpec {
  ociVersion: string;
  process: OciProcess;
  root: { path: string; readonly?: boolean };
  hostname?: string;
  mounts: OciMount[];
  hooks?: OciHooks;
  annotations: Record<string, string>;
  linux: OciLinux;
}

/** A quantity of up to 64 bits: number while it is exact, bigint beyond. */
export type OciInteger = number | bigint;

export interface OciProcess {
  terminal?: boolean;
  /** Of the terminal when the process starts, in characters. */
  consoleSize?: { height: number; width: number };
  user: OciUser;
  args: string[];
  env: string[];
  cwd: string;
  capabilities?: OciCapabilities;
  rlimits?: OciRlimit[];
  noNewPrivileges?: boolean;
  apparmorProfile?: string;
  selinuxLabel?: string;
  oomScoreAdj?: number;
  /** Runtime-spec 1.1, as `ioPriority` is. */
  scheduler?: OciScheduler;
  ioPriority?: { class: string; priority: number };
}

/** Names as the kernel has them: SCHED_FIFO, SCHED_FLAG_RESET_ON_FORK. Times are nanoseconds, for SCHED_DEADLINE. */
export interface OciScheduler {
  policy: string;
  nice?: number;
  priority?: number;
  flags?: string[];
  runtime?: OciInteger;
  deadline?: OciInteger;
  period?: OciInteger;
}

export interface OciUser {
  uid: number;
  gid: number;
  additionalGids?: number[];
  umask?: number;
}

/** Capability names carry their CAP_ prefix. */
export interface OciCapabilities {
  bounding?: string[];
  effective?: string[];
  inheritable?: string[];
  permitted?: string[];
  ambient?: string[];
}

export interface OciRlimit {
  type: string;
  hard: OciInteger;
  soft: OciInteger;
}

export interface OciMount {
  destination: string;
  type?: string;
  source?: string;
  options?: string[];
  uidMappings?: OciIdMapping[];
  gidMappings?: OciIdMapping[];
}

export interface OciIdMapping {
  containerID: number;
  hostID: number;
  size: number;
}

export interface OciHook {
  path: string;
  args?: string[];
  env?: string[];
  timeout?: number;
}

/** In the order of a container's life. */
export const ociHookStages = [
  "prestart",
  "createRuntime",
  "createContainer",
  "startContainer",
  "poststart",
  "poststop",
] as const;

export type OciHookStage = (typeof ociHookStages)[number];

export type OciHooks = { [S in OciHookStage]?: OciHook[] };

export interface OciLinux {
  uidMappings?: OciIdMapping[];
  gidMappings?: OciIdMapping[];
  sysctl?: Record<string, string>;
  resources: OciLinuxResources;
  cgroupsPath?: string;
  namespaces: OciNamespace[];
  devices?: OciDevice[];
  seccomp?: OciSeccomp;
  intelRdt?: OciIntelRdt;
  /** By the host's name of an interface, what it is called inside; runtime-spec 1.3. */
  netDevices?: Record<string, { name: string }>;
  /** What memory comes from which NUMA nodes (MPOL_BIND and others); runtime-spec 1.3. */
  memoryPolicy?: { mode: string; nodes?: string; flags?: string[] };
  rootfsPropagation?: string;
  maskedPaths?: string[];
  readonlyPaths?: string[];
  mountLabel?: string;
}

export type OciNamespaceType = "pid" | "network" | "mount" | "ipc" | "uts" | "user" | "cgroup";

/** Without `path` a new namespace is made. */
export interface OciNamespace {
  type: OciNamespaceType;
  path?: string;
}

export interface OciDevice {
  path: string;
  type: string;
  major?: number;
  minor?: number;
  fileMode?: number;
  uid?: number;
  gid?: number;
}

/** The `linux.resources` object; also what a task Update carries as JSON. */
export interface OciLinuxResources {
  devices?: OciDeviceRule[];
  memory?: OciMemory;
  cpu?: OciCpu;
  pids?: { limit: OciInteger };
  blockIO?: OciBlockIo;
  hugepageLimits?: { pageSize: string; limit: OciInteger }[];
  /** cgroup v2 files and their values. */
  unified?: Record<string, string>;
}

/** Cache and memory bandwidth: a group of /sys/fs/resctrl, and what is written to a new one. */
export interface OciIntelRdt {
  closID?: string;
  l3CacheSchema?: string;
  memBwSchema?: string;
  /** Lines of a group's `schemata` file; runtime-spec 1.3. */
  schemata?: string[];
  enableMonitoring?: boolean;
}

export interface OciDeviceRule {
  allow: boolean;
  type?: string;
  major?: number;
  minor?: number;
  access?: string;
}

export interface OciBlockIo {
  /** 10 to 1000, on disks that are not among `weightDevice`. */
  weight?: number;
  weightDevice?: { major: number; minor: number; weight: number }[];
  throttleReadBpsDevice?: OciDiskRate[];
  throttleWriteBpsDevice?: OciDiskRate[];
  throttleReadIOPSDevice?: OciDiskRate[];
  throttleWriteIOPSDevice?: OciDiskRate[];
}

/** Bytes or operations a second on one disk. */
export interface OciDiskRate {
  major: number;
  minor: number;
  rate: OciInteger;
}

/** Bytes. `swap` counts memory and swap together. */
export interface OciMemory {
  limit?: OciInteger;
  reservation?: OciInteger;
  swap?: OciInteger;
  kernel?: OciInteger;
  kernelTCP?: OciInteger;
  swappiness?: OciInteger;
  disableOOMKiller?: boolean;
  useHierarchy?: boolean;
}

/** Times are microseconds. */
export interface OciCpu {
  shares?: OciInteger;
  quota?: OciInteger;
  period?: OciInteger;
  realtimeRuntime?: OciInteger;
  realtimePeriod?: OciInteger;
  cpus?: string;
  mems?: string;
}

export interface OciSeccomp {
  defaultAction: string;
  defaultErrnoRet?: number;
  architectures?: string[];
  flags?: string[];
  listenerPath?: string;
  listenerMetadata?: string;
  syscalls?: OciSeccompRule[];
}

export interface OciSeccompRule {
  names: string[];
  action: string;
  errnoRet?: number;
  args?: OciSeccompArg[];
}

export interface OciSeccompArg {
  index: number;
  value: OciInteger;
  valueTwo?: OciInteger;
  op: string;
}
