// SPDX-License-Identifier: Apache-2.0

import type { fieldNumbers } from "../../../src/nri/merge/fields.ts";
import type { ContainerAdjustment, ContainerAdjustmentInit } from "../../../src/nri/messages.ts";

/** A field of an adjustment as a slow merge sees it: keys with numbers, however the message spells them. */
export interface AskField {
  readonly name: keyof typeof fieldNumbers;
  /** Undefined for a field that is one value; then its one key is "". */
  readonly keys: readonly string[] | undefined;
  /** Whoever removes a key frees it; undefined where nothing can be removed. */
  readonly removal?: (key: string) => ContainerAdjustmentInit;
  set(key: string, value: number): ContainerAdjustmentInit;
  /** What a merged adjustment has: null for a key that is removed. */
  read(adjust: ContainerAdjustment): (readonly [key: string, value: number | null])[];
}

const ofRecord = (record: Readonly<Record<string, string>>) =>
  Object.entries(record).map(([key, value]) => entry(key, Number(value)));
const entry = (key: string, value: number): readonly [string, number | null] =>
  key.startsWith("-") ? [key.slice(1), null] : [key, value];
const single = (value: bigint | undefined): [string, number][] =>
  value === undefined ? [] : [["", Number(value)]];

export const askFields: readonly AskField[] = [
  {
    name: "Annotations",
    keys: ["a", "b", "__proto__"],
    removal: (key) => ({ annotations: own(`-${key}`, "") }),
    set: (key, value) => ({ annotations: own(key, String(value)) }),
    read: ({ annotations }) => ofRecord(annotations),
  },
  {
    name: "Mounts",
    keys: ["/x", "/x/y", "/z"],
    removal: (key) => ({ mounts: [{ destination: `-${key}` }] }),
    set: (key, value) => ({ mounts: [{ destination: key, source: `/${value}` }] }),
    read: ({ mounts }) =>
      mounts.map(({ destination, source }) => entry(destination, Number(source.slice(1)))),
  },
  {
    name: "Env",
    keys: ["A", "PATH", "constructor"],
    removal: (key) => ({ env: [{ key: `-${key}` }] }),
    set: (key, value) => ({ env: [{ key, value: String(value) }] }),
    read: ({ env }) => env.map(({ key, value }) => entry(key, Number(value))),
  },
  {
    name: "Devices",
    keys: ["/dev/x", "/dev/null"],
    removal: (key) => ({ linux: { devices: [{ path: `-${key}` }] } }),
    set: (key, value) => ({ linux: { devices: [{ path: key, type: "c", minor: value }] } }),
    read: ({ linux }) => linux?.devices.map(({ path, minor }) => entry(path, Number(minor))) ?? [],
  },
  {
    name: "Sysctl",
    keys: ["net.a", "kernel.b"],
    removal: (key) => ({ linux: { sysctl: own(`-${key}`, "") } }),
    set: (key, value) => ({ linux: { sysctl: own(key, String(value)) } }),
    read: ({ linux }) => ofRecord(linux?.sysctl ?? {}),
  },
  {
    name: "LinuxNetDevices",
    keys: ["eth0", "eth1"],
    removal: (key) => ({ linux: { netDevices: own(`-${key}`, {}) } }),
    set: (key, value) => ({ linux: { netDevices: own(key, { name: `n${value}` }) } }),
    read: ({ linux }) =>
      Object.entries(linux?.netDevices ?? {}).map(([key, { name }]) =>
        entry(key, Number(name.slice(1))),
      ),
  },
  {
    name: "Rlimits",
    keys: ["RLIMIT_CORE", "RLIMIT_NOFILE"],
    set: (type, hard) => ({ rlimits: [{ type, hard }] }),
    read: ({ rlimits }) => rlimits.map(({ type, hard }) => [type, Number(hard)]),
  },
  {
    name: "HugepageLimits",
    keys: ["2MB", "1GB"],
    set: (pageSize, limit) => ({ linux: { resources: { hugepageLimits: [{ pageSize, limit }] } } }),
    read: ({ linux }) =>
      linux?.resources?.hugepageLimits.map(({ pageSize, limit }) => [pageSize, Number(limit)]) ??
      [],
  },
  {
    name: "CgroupsUnified",
    keys: ["memory.high", "pids.max"],
    set: (key, value) => ({ linux: { resources: { unified: own(key, String(value)) } } }),
    read: ({ linux }) => ofRecord(linux?.resources?.unified ?? {}),
  },
  {
    name: "MemLimit",
    keys: undefined,
    set: (_key, value) => ({ linux: { resources: { memory: { limit: { value } } } } }),
    read: ({ linux }) => single(linux?.resources?.memory?.limit?.value),
  },
  {
    name: "CPUShares",
    keys: undefined,
    set: (_key, value) => ({ linux: { resources: { cpu: { shares: { value } } } } }),
    read: ({ linux }) => single(linux?.resources?.cpu?.shares?.value),
  },
  {
    name: "PidsLimit",
    keys: undefined,
    set: (_key, limit) => ({ linux: { resources: { pids: { limit } } } }),
    read: ({ linux }) => single(linux?.resources?.pids?.limit),
  },
  {
    name: "OomScoreAdj",
    keys: undefined,
    set: (_key, value) => ({ linux: { oomScoreAdj: { value } } }),
    read: ({ linux }) => single(linux?.oomScoreAdj?.value),
  },
];

/** `{ [key]: value }`, also for "__proto__". */
function own<T>(key: string, value: T): Record<string, T> {
  return Object.fromEntries([[key, value]]);
}

/** Several adjustments as one: lists one after the other, of a message's fields the later one. */
export function together(parts: readonly ContainerAdjustmentInit[]): ContainerAdjustmentInit {
  return parts.reduce<unknown>(joined, {}) as ContainerAdjustmentInit;
}

function joined(before: unknown, after: unknown): unknown {
  if (Array.isArray(before) && Array.isArray(after)) return [...before, ...after];
  if (!isMessage(before) || !isMessage(after)) return after;
  const all = new Map(Object.entries(before));
  for (const [key, value] of Object.entries(after)) {
    all.set(key, all.has(key) ? joined(all.get(key), value) : value);
  }
  return Object.fromEntries(all);
}

function isMessage(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
