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
  CpuSample,
  HugetlbSample,
  IoSample,
  MemorySample,
  SwapSample,
} from "./cgroup-sample.ts";

type Read = (controller: string, name: string) => string | undefined;

/** Reads a cgroup of the separate hierarchies; undefined when it is gone. */
export function readCgroupV1(
  folders: Readonly<Record<string, string>>,
  pageSizes: readonly string[],
): CgroupSample | undefined {
  const read: Read = (controller, name) => {
    const folder = folders[controller];
    return folder === undefined ? undefined : readCgroupFileSync(folder, name);
  };
  const takenAtNanos = nowNanos();
  const [cpu, memory, swap, oomControl, pids, pidsMax, io, hugetlb] = [
    readCpu(read),
    readMemory(read),
    readSwap(read),
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

function readMemory(read: Read): MemorySample | undefined {
  const [usage, limit, peak, failures, kernel, text] = [
    read("memory", "memory.usage_in_bytes"),
    read("memory", "memory.limit_in_bytes"),
    read("memory", "memory.max_usage_in_bytes"),
    read("memory", "memory.failcnt"),
    read("memory", "memory.kmem.usage_in_bytes"),
    read("memory", "memory.stat"),
  ];
  const usageBytes = parseNumber(usage);
  if (usageBytes === undefined) return undefined;
  // The total_ values hold the cgroups below too, as the usage does.
  const stat = new FlatFile(text);
  const total = (key: string): bigint => stat.find(`total_${key}`) ?? stat.get(key);
  return {
    usageBytes,
    limitBytes: parseLimit(limit),
    workingSetBytes: workingSet(usageBytes, total("inactive_file")),
    rssBytes: total("rss"),
    cacheBytes: total("cache"),
    mappedFileBytes: total("mapped_file"),
    kernelBytes: parseNumber(kernel) ?? 0n,
    maxUsageBytes: parseNumber(peak),
    failures: parseNumber(failures) ?? 0n,
    pageFaults: total("pgfault"),
    majorPageFaults: total("pgmajfault"),
    activeFileBytes: total("active_file"),
    inactiveFileBytes: total("inactive_file"),
    pressure: undefined,
  };
}

/** v1 counts memory and swap together: swap is the difference, and so is its limit. */
function readSwap(read: Read): SwapSample | undefined {
  if (parseNumber(read("memory", "memory.memsw.usage_in_bytes")) === undefined) return undefined;
  const stat = new FlatFile(read("memory", "memory.stat"));
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
