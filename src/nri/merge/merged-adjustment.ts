// SPDX-License-Identifier: Apache-2.0
import type {
  ContainerAdjustment,
  Hooks,
  LinuxContainerAdjustment,
  LinuxDevice,
  LinuxNamespace,
  LinuxNetDevice,
  LinuxResources,
  Mount,
  POSIXRlimit,
} from "../messages.ts";
import { type KeyedChanges, listOfChanges, recordOfChanges } from "./keyed-changes.ts";
import { noResources } from "./merge-resources.ts";

/** What all plugins together want of a new container, in a form that more can be merged into. */
export interface MergedAdjustment {
  readonly annotations: KeyedChanges<string>;
  readonly mounts: KeyedChanges<Mount>;
  readonly env: KeyedChanges<string>;
  readonly hooks: Hooks;
  readonly rlimits: readonly POSIXRlimit[];
  readonly cdiDevices: readonly string[];
  readonly args: readonly string[];
  readonly devices: KeyedChanges<LinuxDevice>;
  readonly resources: LinuxResources;
  readonly namespaces: KeyedChanges<LinuxNamespace>;
  readonly sysctl: KeyedChanges<string>;
  readonly netDevices: KeyedChanges<LinuxNetDevice>;
  readonly single: SingleFields;
}

/** Those that are one value, and come from one plugin. */
export type SingleFields = Pick<
  LinuxContainerAdjustment,
  | "cgroupsPath"
  | "oomScoreAdj"
  | "ioPriority"
  | "seccompPolicy"
  | "scheduler"
  | "rdt"
  | "memoryPolicy"
>;

export const noHooks: Hooks = {
  prestart: [],
  createRuntime: [],
  createContainer: [],
  startContainer: [],
  poststart: [],
  poststop: [],
};

export const noAdjustment: MergedAdjustment = {
  annotations: new Map(),
  mounts: new Map(),
  env: new Map(),
  hooks: noHooks,
  rlimits: [],
  cdiDevices: [],
  args: [],
  devices: new Map(),
  resources: noResources,
  namespaces: new Map(),
  sysctl: new Map(),
  netDevices: new Map(),
  single: {
    cgroupsPath: "",
    oomScoreAdj: null,
    ioPriority: null,
    seccompPolicy: null,
    scheduler: null,
    rdt: null,
    memoryPolicy: null,
  },
};

/** As a message; keys that are removed have "-" before them. */
export function adjustmentMessage(merged: MergedAdjustment): ContainerAdjustment {
  const env = [...merged.env].map(([key, value]) =>
    value === null ? { key: `-${key}`, value: "" } : { key, value },
  );
  return {
    annotations: recordOfChanges(merged.annotations, ""),
    mounts: listOfChanges(merged.mounts, (destination) => ({
      destination,
      type: "",
      source: "",
      options: [],
    })),
    env,
    hooks: merged.hooks,
    rlimits: [...merged.rlimits],
    CDIDevices: merged.cdiDevices.map((name) => ({ name })),
    args: [...merged.args],
    linux: {
      devices: listOfChanges(merged.devices, removedDevice),
      resources: merged.resources,
      namespaces: listOfChanges(merged.namespaces, (type) => ({ type, path: "" })),
      sysctl: recordOfChanges(merged.sysctl, ""),
      netDevices: recordOfChanges(merged.netDevices, { name: "" }),
      ...merged.single,
    },
  };
}

function removedDevice(path: string): LinuxDevice {
  return { path, type: "", major: 0n, minor: 0n, fileMode: null, uid: null, gid: null };
}
