// SPDX-License-Identifier: Apache-2.0

import { nowNanos } from "../../base/now.ts";
import {
  FlatFile,
  parseLimit,
  parseNumber,
  readCgroupFileSync,
  workingSet,
} from "./cgroup-files.ts";
import type {
  CgroupSample,
  CgroupUsage,
  CpuSample,
  HugetlbSample,
  IoSample,
  MemorySample,
  MemoryUsage,
  SwapSample,
} from "./cgroup-sample.ts";

type Read = (controller: string, name: string) => string | undefined;

/** Reads a cgroup of the separate hierarchies; undefined when it is gone. */
export function readCgroupV1(
  folders: Readonly<Record<string, string>>,
  pageSizes: readonly string[],
): CgroupSample | undefined {
  const read = reader(folders);
  const takenAtNanos = nowNanos();
  const stat = memoryStat(read);
  const [cpu, memory, swap, oomControl, pids, pidsMax, io, hugetlb] = [
    readCpu(read),
    readMemory(read, stat),
    readSwap(read, stat),
    read("memory", "memory.oom_control"),
    read("pids", "pids.current"),
    read("pids", "pids.max"),
    readIo(read),
    readHugetlb(pageSizes, read),
  ];
  if (cpu === undefined && memory === undefined && pids === undefined) return undefined;
  const current = parseNumber(pids);
  return {
    takenAtNanos,
    cpu,
    memory,
    swap,
    oomKills: new FlatFile(oomControl).find("oom_kill"),
    pids: current === undefined ? undefined : { current, limit: parseLimit(pidsMax) },
    io,
    ioPressure: undefined,
    hugetlb,
  };
}

/** Hierarchies that `readUsageV1` looks at. */
export const usageControllers = ["cpuacct", "memory", "pids"] as const;

/** A part of the same, from a quarter of the files; undefined when the cgroup is gone. */
export function readUsageV1(folders: Readonly<Record<string, string>>): CgroupUsage | undefined {
  const read = reader(folders);
  const takenAtNanos = nowNanos();
  const usageNanos = parseNumber(read("cpuacct", "cpuacct.usage"));
  const stat = memoryStat(read);
  const memory = readMemoryUsage(read, stat);
  const isGone = usageNanos === undefined && memory === undefined;
  if (isGone && read("pids", "pids.current") === undefined) return undefined;
  return {
    takenAtNanos,
    cpu: usageNanos === undefined ? undefined : { usageNanos, pressure: undefined },
    memory,
    swap: readSwap(read, stat),
    ioPressure: undefined,
  };
}

function reader(folders: Readonly<Record<string, string>>): Read {
  return (controller, name) => {
    const folder = folders[controller];
    return folder === undefined ? undefined : readCgroupFileSync(folder, name);
  };
}

/** The costliest file: the kernel adds up what all processors have counted. */
function memoryStat(read: Read): FlatFile {
  return new FlatFile(read("memory", "memory.stat"));
}

/** The total_ values hold the cgroups below too, as the usage does. */
function totalOf(stat: FlatFile, key: string): bigint {
  return stat.find(`total_${key}`) ?? stat.get(key);
}

function readCpu(read: Read): CpuSample | undefined {
  const [usage, user, system, text] = [
    read("cpuacct", "cpuacct.usage"),
    read("cpuacct", "cpuacct.usage_user"),
    read("cpuacct", "cpuacct.usage_sys"),
    read("cpu", "cpu.stat"),
  ];
  const usageNanos = parseNumber(usage);
  if (usageNanos === undefined) return undefined;
  const stat = new FlatFile(text);
  return {
    usageNanos,
    userNanos: parseNumber(user) ?? 0n,
    systemNanos: parseNumber(system) ?? 0n,
    periods: stat.get("nr_periods"),
    throttledPeriods: stat.get("nr_throttled"),
    throttledNanos: stat.get("throttled_time"),
    pressure: undefined,
  };
}

function readMemoryUsage(read: Read, stat: FlatFile): MemoryUsage | undefined {
  const usageBytes = parseNumber(read("memory", "memory.usage_in_bytes"));
  if (usageBytes === undefined) return undefined;
  return {
    usageBytes,
    limitBytes: parseLimit(read("memory", "memory.limit_in_bytes")),
    workingSetBytes: workingSet(usageBytes, totalOf(stat, "inactive_file")),
    rssBytes: totalOf(stat, "rss"),
    pageFaults: totalOf(stat, "pgfault"),
    majorPageFaults: totalOf(stat, "pgmajfault"),
    pressure: undefined,
  };
}

function readMemory(read: Read, stat: FlatFile): MemorySample | undefined {
  const usage = readMemoryUsage(read, stat);
  if (usage === undefined) return undefined;
  return {
    ...usage,
    cacheBytes: totalOf(stat, "cache"),
    mappedFileBytes: totalOf(stat, "mapped_file"),
    kernelBytes: parseNumber(read("memory", "memory.kmem.usage_in_bytes")) ?? 0n,
    maxUsageBytes: parseNumber(read("memory", "memory.max_usage_in_bytes")),
    failures: parseNumber(read("memory", "memory.failcnt")) ?? 0n,
    activeFileBytes: totalOf(stat, "active_file"),
    inactiveFileBytes: totalOf(stat, "inactive_file"),
  };
}

/** v1 counts memory and swap together: swap is the difference, and so is its limit. */
function readSwap(read: Read, stat: FlatFile): SwapSample | undefined {
  if (parseNumber(read("memory", "memory.memsw.usage_in_bytes")) === undefined) return undefined;
  const total = parseLimit(read("memory", "memory.memsw.limit_in_bytes"));
  const memory = parseLimit(read("memory", "memory.limit_in_bytes"));
  return {
    usageBytes: stat.find("total_swap") ?? stat.get("swap"),
    limitBytes: total === undefined ? undefined : workingSet(total, memory ?? 0n),
  };
}

function readIo(read: Read): IoSample[] {
  const either = (name: string): string =>
    read("blkio", `${name}_recursive`) ?? read("blkio", name) ?? "";
  const [bytes, operations] = [
    either("blkio.throttle.io_service_bytes"),
    either("blkio.throttle.io_serviced"),
  ];
  return parseBlkio(bytes, operations);
}

/** Lines of `8:0 Read 4096`, of bytes and of operations; the totals and other kinds are left out. */
export function parseBlkio(bytes: string, operations: string): IoSample[] {
  const sizes = blkioTable(bytes);
  const counts = blkioTable(operations);
  return [...new Set([...sizes.keys(), ...counts.keys()])].map((device) => {
    const [major = 0, minor = 0] = device.split(":").map(Number);
    const value = (table: typeof sizes, kind: string): bigint => table.get(device)?.get(kind) ?? 0n;
    return {
      major,
      minor,
      readBytes: value(sizes, "Read"),
      writeBytes: value(sizes, "Write"),
      reads: value(counts, "Read"),
      writes: value(counts, "Write"),
    };
  });
}

function blkioTable(text: string): Map<string, Map<string, bigint>> {
  const table = new Map<string, Map<string, bigint>>();
  for (const line of text.split("\n")) {
    const [, device, kind, value] = /^(\d+:\d+) (\w+) (\d+)$/.exec(line) ?? [];
    if (device === undefined || kind === undefined || value === undefined) continue;
    const row = table.get(device) ?? new Map<string, bigint>();
    row.set(kind, BigInt(value));
    table.set(device, row);
  }
  return table;
}

function readHugetlb(pageSizes: readonly string[], read: Read): HugetlbSample[] {
  const samples = pageSizes.toSorted().map((pageSize) => {
    const usageBytes = parseNumber(read("hugetlb", `hugetlb.${pageSize}.usage_in_bytes`));
    if (usageBytes === undefined) return [];
    const [max, failures] = [
      read("hugetlb", `hugetlb.${pageSize}.max_usage_in_bytes`),
      read("hugetlb", `hugetlb.${pageSize}.failcnt`),
    ];
    return [
      {
        pageSize,
        usageBytes,
        maxUsageBytes: parseNumber(max) ?? 0n,
        failures: parseNumber(failures) ?? 0n,
      },
    ];
  });
  return samples.flat();
}
