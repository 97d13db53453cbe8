// SPDX-License-Identifier: Apache-2.0

/**
 * What one cgroup's files said at one moment, the same for both versions. A part is undefined when
 * its controller or file is not there; a limit is undefined when there is none. Times are
 * nanoseconds, sizes bytes, counters as the kernel keeps them since the cgroup was made.
 */
export interface CgroupSample {
  readonly takenAtNanos: bigint;
  readonly cpu: CpuSample | undefined;
  readonly memory: MemorySample | undefined;
  readonly swap: SwapSample | undefined;
  /** Processes the kernel killed here for want of memory. */
  readonly oomKills: bigint | undefined;
  readonly pids: PidsSample | undefined;
  readonly io: readonly IoSample[];
  readonly ioPressure: Pressure | undefined;
  readonly hugetlb: readonly HugetlbSample[];
}

/** What CRI's stats tell of a cgroup: a few of its files have it. */
export interface CgroupUsage {
  readonly takenAtNanos: bigint;
  readonly cpu: Pick<CpuSample, "usageNanos" | "pressure"> | undefined;
  readonly memory: MemoryUsage | undefined;
  readonly swap: SwapSample | undefined;
  readonly ioPressure: Pressure | undefined;
}

export type MemoryUsage = Pick<
  MemorySample,
  | "usageBytes"
  | "limitBytes"
  | "workingSetBytes"
  | "rssBytes"
  | "pageFaults"
  | "majorPageFaults"
  | "pressure"
>;

export interface CpuSample {
  readonly usageNanos: bigint;
  readonly userNanos: bigint;
  readonly systemNanos: bigint;
  readonly periods: bigint;
  readonly throttledPeriods: bigint;
  readonly throttledNanos: bigint;
  readonly pressure: Pressure | undefined;
}

export interface MemorySample {
  readonly usageBytes: bigint;
  readonly limitBytes: bigint | undefined;
  /** Usage without the page cache that can be dropped at once: what eviction goes by. */
  readonly workingSetBytes: bigint;
  readonly rssBytes: bigint;
  readonly cacheBytes: bigint;
  readonly mappedFileBytes: bigint;
  readonly kernelBytes: bigint;
  /** undefined where the kernel keeps no peak (cgroup v2 before 5.19). */
  readonly maxUsageBytes: bigint | undefined;
  /** How often an allocation met the limit. */
  readonly failures: bigint;
  readonly pageFaults: bigint;
  readonly majorPageFaults: bigint;
  readonly activeFileBytes: bigint;
  readonly inactiveFileBytes: bigint;
  readonly pressure: Pressure | undefined;
}

export interface SwapSample {
  readonly usageBytes: bigint;
  /** Swap alone, without memory. */
  readonly limitBytes: bigint | undefined;
}

export interface PidsSample {
  /** Threads, as the kernel counts them here. */
  readonly current: bigint;
  readonly limit: bigint | undefined;
}

/** Of one block device, with all cgroups below. */
export interface IoSample {
  readonly major: number;
  readonly minor: number;
  readonly readBytes: bigint;
  readonly writeBytes: bigint;
  readonly reads: bigint;
  readonly writes: bigint;
}

export interface HugetlbSample {
  /** As the cgroup files spell it: "2MB". */
  readonly pageSize: string;
  readonly usageBytes: bigint;
  readonly maxUsageBytes: bigint;
  readonly failures: bigint;
}

/** Pressure stall information: time some, or all, tasks waited. Averages are per cent. */
export interface Pressure {
  readonly some: PressureLine;
  readonly full: PressureLine;
}

export interface PressureLine {
  readonly totalNanos: bigint;
  readonly avg10: number;
  readonly avg60: number;
  readonly avg300: number;
}
