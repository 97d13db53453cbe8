// SPDX-License-Identifier: Apache-2.0

import { nowNanos } from "../../base/now.ts";
import {
  FlatFile,
  keyedWords,
  parseLimit,
  parseNumber,
  parsePressure,
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

type Read = (name: string) => string | undefined;

/** Reads a cgroup of the unified hierarchy; undefined when it is gone. */
export function readCgroupV2(
  folder: string,
  pageSizes: readonly string[],
): CgroupSample | undefined {
  const read: Read = (name) => readCgroupFileSync(folder, name);
  const takenAtNanos = nowNanos();
  const [cpu, memory, swap, events, pids, pidsMax, io, ioPressure, hugetlb] = [
    readCpu(read),
    readMemory(read),
    readSwap(read),
    read("memory.events"),
    read("pids.current"),
    read("pids.max"),
    read("io.stat"),
    read("io.pressure"),
    readHugetlb(pageSizes, read),
  ];
  if (cpu === undefined && memory === undefined && pids === undefined) return undefined;
  const current = parseNumber(pids);
  return {
    takenAtNanos,
    cpu,
    memory,
    swap,
    oomKills: new FlatFile(events).find("oom_kill"),
    pids: current === undefined ? undefined : { current, limit: parseLimit(pidsMax) },
    io: parseIoStat(io ?? ""),
    ioPressure: parsePressure(ioPressure),
    hugetlb,
  };
}

/** A part of the same, from half of the files; undefined when the cgroup is gone. */
export function readUsageV2(folder: string): CgroupUsage | undefined {
  const read: Read = (name) => readCgroupFileSync(folder, name);
  const takenAtNanos = nowNanos();
  const cpuStat = read("cpu.stat");
  const memory = readMemoryUsage(read, new FlatFile(read("memory.stat")));
  const isGone = cpuStat === undefined && memory === undefined;
  if (isGone && read("pids.current") === undefined) return undefined;
  return {
    takenAtNanos,
    cpu: cpuStat === undefined ? undefined : cpuUsage(new FlatFile(cpuStat), read),
    memory,
    swap: readSwap(read),
    ioPressure: parsePressure(read("io.pressure")),
  };
}

function cpuUsage(stat: FlatFile, read: Read): Pick<CpuSample, "usageNanos" | "pressure"> {
  return {
    usageNanos: stat.get("usage_usec") * 1000n,
    pressure: parsePressure(read("cpu.pressure")),
  };
}

function readCpu(read: Read): CpuSample | undefined {
  const text = read("cpu.stat");
  if (text === undefined) return undefined;
  const stat = new FlatFile(text);
  const nanos = (key: string): bigint => stat.get(key) * 1000n;
  return {
    ...cpuUsage(stat, read),
    userNanos: nanos("user_usec"),
    systemNanos: nanos("system_usec"),
    periods: stat.get("nr_periods"),
    throttledPeriods: stat.get("nr_throttled"),
    throttledNanos: nanos("throttled_usec"),
  };
}

function readMemoryUsage(read: Read, stat: FlatFile): MemoryUsage | undefined {
  const usageBytes = parseNumber(read("memory.current"));
  if (usageBytes === undefined) return undefined;
  return {
    usageBytes,
    limitBytes: parseLimit(read("memory.max")),
    workingSetBytes: workingSet(usageBytes, stat.get("inactive_file")),
    rssBytes: stat.get("anon"),
    pageFaults: stat.get("pgfault"),
    majorPageFaults: stat.get("pgmajfault"),
    pressure: parsePressure(read("memory.pressure")),
  };
}

function readMemory(read: Read): MemorySample | undefined {
  const stat = new FlatFile(read("memory.stat"));
  const usage = readMemoryUsage(read, stat);
  if (usage === undefined) return undefined;
  return {
    ...usage,
    cacheBytes: stat.get("file"),
    mappedFileBytes: stat.get("file_mapped"),
    // `kernel` came with 5.18; before it stacks and slab are most of it.
    kernelBytes: stat.find("kernel") ?? stat.get("kernel_stack") + stat.get("slab"),
    maxUsageBytes: parseNumber(read("memory.peak")),
    failures: new FlatFile(read("memory.events")).get("max"),
    activeFileBytes: stat.get("active_file"),
    inactiveFileBytes: stat.get("inactive_file"),
  };
}

function readSwap(read: Read): SwapSample | undefined {
  const [current, max] = [read("memory.swap.current"), read("memory.swap.max")];
  const usageBytes = parseNumber(current);
  return usageBytes === undefined ? undefined : { usageBytes, limitBytes: parseLimit(max) };
}

/**
 * Lines of `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0`. A kernel (since 5.14) ends the line of a device
 * only where it has figures for it: `253:1 8:0 rbytes=1 …` are two devices.
 */
export function parseIoStat(text: string): IoSample[] {
  return text.split("\n").flatMap((line) => {
    const words = line.split(" ");
    const starts = words.flatMap((word, at) => (/^\d+:\d+$/.test(word) ? [at] : []));
    if (starts[0] !== 0) return [];
    return starts.map((start, index) => ioSample(words.slice(start, starts[index + 1])));
  });
}

function ioSample([device = "", ...pairs]: readonly string[]): IoSample {
  const [major = 0, minor = 0] = device.split(":").map(Number);
  const fields = keyedWords(pairs);
  const value = (key: string): bigint => parseNumber(fields.get(key)) ?? 0n;
  return {
    major,
    minor,
    readBytes: value("rbytes"),
    writeBytes: value("wbytes"),
    reads: value("rios"),
    writes: value("wios"),
  };
}

function readHugetlb(pageSizes: readonly string[], read: Read): HugetlbSample[] {
  const samples = pageSizes.toSorted().map((pageSize) => {
    const usageBytes = parseNumber(read(`hugetlb.${pageSize}.current`));
    if (usageBytes === undefined) return [];
    const failures = new FlatFile(read(`hugetlb.${pageSize}.events`)).get("max");
    // The unified hierarchy keeps no peak of huge pages.
    return [{ pageSize, usageBytes, maxUsageBytes: usageBytes, failures }];
  });
  return samples.flat();
}
