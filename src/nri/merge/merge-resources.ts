// SPDX-License-Identifier: Apache-2.0
import { withReplaced } from "../../base/with-replaced.ts";
import type { LinuxCPU, LinuxMemory, LinuxResources } from "../messages.ts";
import type { FieldClaims } from "./field-claims.ts";
import type { FieldName } from "./fields.ts";

const memoryFields: Readonly<Record<keyof LinuxMemory, FieldName>> = {
  limit: "MemLimit",
  reservation: "MemReservation",
  swap: "MemSwapLimit",
  kernel: "MemKernelLimit",
  kernelTcp: "MemTCPLimit",
  swappiness: "MemSwappiness",
  disableOomKiller: "MemDisableOomKiller",
  useHierarchy: "MemUseHierarchy",
};
const cpuFields: Readonly<Record<keyof LinuxCPU, FieldName>> = {
  shares: "CPUShares",
  quota: "CPUQuota",
  period: "CPUPeriod",
  realtimeRuntime: "CPURealtimeRuntime",
  realtimePeriod: "CPURealtimePeriod",
  cpus: "CPUSetCPUs",
  mems: "CPUSetMems",
};
const classFields = {
  blockioClass: "BlockioClass",
  rdtClass: "RdtClass",
  pids: "PidsLimit",
} as const;

/** Claims each limit that is given. Device rules have no owner: they are added to those that there are. */
export function claimResources(plugin: string, given: LinuxResources, claims: FieldClaims): void {
  for (const field of givenOf(given.memory)) claims.claim(plugin, memoryFields[field]);
  for (const field of givenOf(given.cpu)) claims.claim(plugin, cpuFields[field]);
  for (const { pageSize } of given.hugepageLimits) claims.claim(plugin, "HugepageLimits", pageSize);
  for (const file of Object.keys(given.unified)) claims.claim(plugin, "CgroupsUnified", file);
  for (const name of ["blockioClass", "rdtClass", "pids"] as const) {
    if (given[name] !== null) claims.claim(plugin, classFields[name]);
  }
}

/** Limits with others over them: what these leave open stays. */
export function withResources(under: LinuxResources, over: LinuxResources): LinuxResources {
  return {
    memory: withGiven(under.memory, over.memory),
    cpu: withGiven(under.cpu, over.cpu),
    hugepageLimits: withReplaced(
      under.hugepageLimits,
      over.hugepageLimits,
      ({ pageSize }) => pageSize,
    ),
    blockioClass: over.blockioClass ?? under.blockioClass,
    rdtClass: over.rdtClass ?? under.rdtClass,
    unified: { ...under.unified, ...over.unified },
    devices: [...under.devices, ...over.devices],
    pids: over.pids ?? under.pids,
  };
}

export const noResources: LinuxResources = {
  memory: null,
  cpu: null,
  hugepageLimits: [],
  blockioClass: null,
  rdtClass: null,
  unified: {},
  devices: [],
  pids: null,
};

function withGiven<T extends object>(under: T | null, over: T | null): T | null {
  if (under === null || over === null) return over ?? under;
  const given = Object.fromEntries(givenOf(over).map((field) => [field, over[field]]));
  return { ...under, ...given };
}

function givenOf<T extends object>(message: T | null): (keyof T)[] {
  if (message === null) return [];
  const fields = Object.keys(message) as (keyof T)[];
  return fields.filter((field) => message[field] !== null && message[field] !== "");
}
