// SPDX-License-Identifier: Apache-2.0

import { nowNanos } from "../../base/now.ts";
import { FlatFile, parseLimit, parseNumber, readCgroupFile, workingSet } from "./cgroup-files.ts";
import type {
  CgroupSample,
  CpuSample,
  HugetlbSample,
  IoSample,
  MemorySample,
  SwapSample,
} from "./cgroup-sample.ts";

type Read = (controller: string, name: string) => Promise<string | undefined>;

/** Reads a cgroup of the separate hierarchies; undefined when it is gone. */
export async function readCgroupV1(
  folders: Readonly<Record<string, string>>,
  pageSizes: readonly string[],
): Promise<CgroupSample | undefined> {
  const read: Read = async (controller, name) => {
    const folder = folders[controller];
    return folder === undefined ? undefined : readCgroupFile(folder, name);
  };
  const takenAtNanos = nowNanos();
  const [cpu, memory, swap, oomControl, pids, pidsMax, io, hugetlb] = await Promise.all([
    readCpu(read),
    readMemory(read),
    readSwap(read),
    read("memory", "memory.oom_control"),
    read("pids", "pids.current"),
    read("pids", "pids.max"),
    readIo(read),
    readHugetlb(pageSizes, read),
  ]);
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

async function readCpu(read: Read): Promise<CpuSample | undefined> {
  const [usage, user, system, text] = await Promise.all([
    read("cpuacct", "cpuacct.usage"),
    read("cpuacct", "cpuacct.usage_user"),
    read("cpuacct", "cpuacct.usage_sys"),
    read("cpu", "cpu.stat"),
  ]);
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

async function readMemory(read: Read): Promise<MemorySample | undefined> {
  const [usage, limit, peak, failures, kernel, text] = await Promise.all([
    read("memory", "memory.usage_in_bytes"),
    read("memory", "memory.limit_in_bytes"),
    read("memory", "memory.max_usage_in_bytes"),
    read("memory", "memory.failcnt"),
    read("memory", "memory.kmem.usage_in_bytes"),
    read("memory", "memory.stat"),
  ]);
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
async function readSwap(read: Read): Promise<SwapSample | undefined> {
  const [both, bothLimit, limit, text] = await Promise.all([
    read("memory", "memory.memsw.usage_in_bytes"),
    read("memory", "memory.memsw.limit_in_bytes"),
    read("memory", "memory.limit_in_bytes"),
    read("memory", "memory.stat"),
  ]);
  if (parseNumber(both) === undefined) return undefined;
  const stat = new FlatFile(text);
  const [total, memory] = [parseLimit(bothLimit), parseLimit(limit)];
  return {
    usageBytes: stat.find("total_swap") ?? stat.get("swap"),
    limitBytes: total === undefined ? undefined : workingSet(total, memory ?? 0n),
  };
}

async function readIo(read: Read): Promise<IoSample[]> {
  const either = async (name: string): Promise<string> =>
    (await read("blkio", `${name}_recursive`)) ?? (await read("blkio", name)) ?? "";
  const [bytes, operations] = await Promise.all([
    either("blkio.throttle.io_service_bytes"),
    either("blkio.throttle.io_serviced"),
  ]);
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

async function readHugetlb(pageSizes: readonly string[], read: Read): Promise<HugetlbSample[]> {
  const samples = pageSizes.toSorted().map(async (pageSize) => {
    const usageBytes = parseNumber(await read("hugetlb", `hugetlb.${pageSize}.usage_in_bytes`));
    if (usageBytes === undefined) return [];
    const [max, failures] = await Promise.all([
      read("hugetlb", `hugetlb.${pageSize}.max_usage_in_bytes`),
      read("hugetlb", `hugetlb.${pageSize}.failcnt`),
    ]);
    return [
      {
        pageSize,
        usageBytes,
        maxUsageBytes: parseNumber(max) ?? 0n,
        failures: parseNumber(failures) ?? 0n,
      },
    ];
  });
  return (await Promise.all(samples)).flat();
}
