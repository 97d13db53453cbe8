// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { type CgroupLimits, readCgroupLimits } from "../../../src/metrics/cgroup/cgroup-limits.ts";
import type { CgroupSample, Pressure } from "../../../src/metrics/cgroup/cgroup-sample.ts";
import {
  memoryInUse,
  oomKills,
  readCgroupSample,
} from "../../../src/metrics/cgroup/read-sample.ts";
import { ByteSource } from "../byte-source.ts";
import { scratchFolder } from "../scratch-folder.ts";
import type { FuzzTarget } from "../target.ts";

const controllers = ["cpu", "cpuacct", "memory", "pids", "blkio", "hugetlb"];
const most = 2n ** 62n;
/** Figures that are written as the kernel does, in the files of either version, come back in their places. */
export const target: FuzzTarget = {
  name: "cgroup-sample",
  parses: ["src/metrics/cgroup/read-sample.ts", "src/metrics/cgroup/cgroup-limits.ts"],
  maxBytes: 512,
  seeds: () =>
    [0, 1].map((version) =>
      Buffer.from([version, ...Array.from({ length: 200 }, (_, at) => (at * 37) & 127)]),
    ),
  run: async (input) => {
    const source = new ByteSource(input);
    const isV2 = source.bool();
    const figures = draw(source);
    // Some files are not there: a controller that is off, an older kernel.
    const dropped = new Set(source.list(4, () => source.byte()));
    const files = Object.entries(isV2 ? v2Files(figures) : v1Files(figures));
    const place = fill(files, dropped, isV2);
    const paths = isV2
      ? ({ version: 2, folder: place } as const)
      : ({
          version: 1,
          folders: Object.fromEntries(controllers.map((name) => [name, path.join(place, name)])),
        } as const);
    const sample = readCgroupSample(paths, ["2MB", "1GB"]);
    const limits = readCgroupLimits(paths);
    if (dropped.size > 0) {
      if (sample !== undefined) checkSane(sample);
      return;
    }
    assert.ok(sample);
    assert.deepEqual({ ...sample, takenAtNanos: 0n }, expected(figures, isV2));
    assert.deepEqual(limits, expectedLimits(figures, isV2));
    assert.equal(await oomKills(paths), figures.oomKills);
    assert.equal(await memoryInUse(paths), figures.rss + figures.shmem);
  },
};

type Figures = ReturnType<typeof draw>;

function draw(source: ByteSource) {
  const figure = (): bigint => source.unsigned() % most;
  const limit = (): bigint | undefined => (source.bool() ? undefined : figure());
  const average = (): number => source.below(10_000) / 100;
  const line = () => ({ micros: figure(), avg10: average(), avg60: average(), avg300: average() });
  return {
    usage: figure(),
    user: figure(),
    system: figure(),
    periods: figure(),
    throttled: figure(),
    throttledTime: figure(),
    cpuSome: line(),
    cpuFull: line(),
    ioSome: line(),
    ioFull: line(),
    memorySome: line(),
    memoryFull: line(),
    memory: figure(),
    memoryLimit: limit(),
    peak: figure(),
    failures: figure(),
    kernel: figure(),
    rss: figure(),
    cache: figure(),
    mapped: figure(),
    inactive: figure(),
    active: figure(),
    faults: figure(),
    majorFaults: figure(),
    shmem: figure(),
    swap: figure(),
    swapLimit: limit(),
    oomKills: figure(),
    tasks: figure(),
    tasksLimit: limit(),
    reads: figure(),
    writes: figure(),
    readBytes: figure(),
    writtenBytes: figure(),
    major: source.below(512),
    minor: source.below(512),
    pages: figure(),
    pagesPeak: figure(),
    pageFailures: figure(),
    weight: 1n + (source.unsigned() % 10_000n),
    quota: limit(),
    period: figure(),
    reservation: limit(),
  };
}

const text = (value: bigint | undefined): string => `${value ?? "max"}\n`;
const noneV1 = 9_223_372_036_854_771_712n;
type Line = Figures["cpuSome"];
const psi = (some: Line, full: Line): string =>
  [["some", some] as const, ["full", full] as const]
    .map(
      ([kind, l]) =>
        `${kind} avg10=${l.avg10.toFixed(2)} avg60=${l.avg60.toFixed(2)} avg300=${l.avg300.toFixed(2)} total=${l.micros}\n`,
    )
    .join("");
const flat = (values: Readonly<Record<string, bigint>>): string =>
  Object.entries(values)
    .map(([key, value]) => `${key} ${value}\n`)
    .join("");

function v2Files(f: Figures): Record<string, string> {
  return {
    "cpu.stat": flat({
      usage_usec: f.usage,
      user_usec: f.user,
      system_usec: f.system,
      nr_periods: f.periods,
      nr_throttled: f.throttled,
      throttled_usec: f.throttledTime,
    }),
    "cpu.pressure": psi(f.cpuSome, f.cpuFull),
    "io.pressure": psi(f.ioSome, f.ioFull),
    "memory.pressure": psi(f.memorySome, f.memoryFull),
    "memory.current": text(f.memory),
    "memory.max": text(f.memoryLimit),
    "memory.peak": text(f.peak),
    "memory.stat": flat({
      anon: f.rss,
      file: f.cache,
      kernel: f.kernel,
      file_mapped: f.mapped,
      inactive_anon: 1n,
      active_anon: 2n,
      inactive_file: f.inactive,
      active_file: f.active,
      pgfault: f.faults,
      pgmajfault: f.majorFaults,
      shmem: f.shmem,
    }),
    "memory.events": flat({
      low: 1n,
      high: 2n,
      max: f.failures,
      oom: 3n,
      oom_kill: f.oomKills,
      oom_group_kill: 4n,
    }),
    "memory.swap.current": text(f.swap),
    "memory.swap.max": text(f.swapLimit),
    "memory.low": text(f.reservation),
    "pids.current": text(f.tasks),
    "pids.max": text(f.tasksLimit),
    "io.stat": `${f.major}:${f.minor} rbytes=${f.readBytes} wbytes=${f.writtenBytes} rios=${f.reads} wios=${f.writes} dbytes=1 dios=2\n`,
    "hugetlb.2MB.current": text(f.pages),
    "hugetlb.2MB.events": flat({ max: f.pageFailures }),
    "cpu.weight": text(f.weight),
    "cpu.max": `${f.quota ?? "max"} ${f.period}\n`,
  };
}

function v1Files(f: Figures): Record<string, string> {
  const total = (values: Record<string, bigint>): string =>
    flat(
      Object.fromEntries(
        Object.entries(values).flatMap(([key, value]) => [
          [key, 9n],
          [`total_${key}`, value],
        ]),
      ),
    );
  const device = `${f.major}:${f.minor}`;
  return {
    "cpuacct/cpuacct.usage": text(f.usage),
    "cpuacct/cpuacct.usage_user": text(f.user),
    "cpuacct/cpuacct.usage_sys": text(f.system),
    "cpu/cpu.stat": flat({
      nr_periods: f.periods,
      nr_throttled: f.throttled,
      throttled_time: f.throttledTime,
    }),
    "memory/memory.usage_in_bytes": text(f.memory),
    "memory/memory.limit_in_bytes": text(f.memoryLimit ?? noneV1),
    "memory/memory.max_usage_in_bytes": text(f.peak),
    "memory/memory.failcnt": text(f.failures),
    "memory/memory.kmem.usage_in_bytes": text(f.kernel),
    "memory/memory.memsw.usage_in_bytes": text(f.memory + f.swap),
    "memory/memory.memsw.limit_in_bytes": text(f.swapLimit ?? noneV1),
    "memory/memory.soft_limit_in_bytes": text(f.reservation ?? noneV1),
    "memory/memory.oom_control": flat({
      oom_kill_disable: 0n,
      under_oom: 0n,
      oom_kill: f.oomKills,
    }),
    "memory/memory.stat": total({
      cache: f.cache,
      rss: f.rss,
      shmem: f.shmem,
      mapped_file: f.mapped,
      swap: f.swap,
      pgfault: f.faults,
      pgmajfault: f.majorFaults,
      inactive_file: f.inactive,
      active_file: f.active,
    }),
    "pids/pids.current": text(f.tasks),
    "pids/pids.max": text(f.tasksLimit),
    "blkio/blkio.throttle.io_service_bytes_recursive": `${device} Read ${f.readBytes}\n${device} Write ${f.writtenBytes}\n${device} Total 3\nTotal 3\n`,
    "blkio/blkio.throttle.io_serviced_recursive": `${device} Read ${f.reads}\n${device} Write ${f.writes}\nTotal 3\n`,
    "hugetlb/hugetlb.2MB.usage_in_bytes": text(f.pages),
    "hugetlb/hugetlb.2MB.max_usage_in_bytes": text(f.pagesPeak),
    "hugetlb/hugetlb.2MB.failcnt": text(f.pageFailures),
    "cpu/cpu.shares": text(f.weight),
    "cpu/cpu.cfs_period_us": text(f.period),
    "cpu/cpu.cfs_quota_us": `${f.quota ?? -1}\n`,
  };
}

const difference = (one: bigint, other: bigint): bigint => (one > other ? one - other : 0n);

function expected(f: Figures, isV2: boolean): CgroupSample {
  const scale = isV2 ? 1000n : 1n;
  const pressure = (some: Line, full: Line): Pressure | undefined => {
    const line = ({ micros, ...averages }: Line) => ({ totalNanos: micros * 1000n, ...averages });
    return isV2 ? { some: line(some), full: line(full) } : undefined;
  };
  return {
    takenAtNanos: 0n,
    cpu: {
      usageNanos: f.usage * scale,
      userNanos: f.user * scale,
      systemNanos: f.system * scale,
      periods: f.periods,
      throttledPeriods: f.throttled,
      throttledNanos: f.throttledTime * scale,
      pressure: pressure(f.cpuSome, f.cpuFull),
    },
    memory: {
      usageBytes: f.memory,
      limitBytes: f.memoryLimit,
      workingSetBytes: difference(f.memory, f.inactive),
      rssBytes: f.rss,
      cacheBytes: f.cache,
      mappedFileBytes: f.mapped,
      kernelBytes: f.kernel,
      maxUsageBytes: f.peak,
      failures: f.failures,
      pageFaults: f.faults,
      majorPageFaults: f.majorFaults,
      activeFileBytes: f.active,
      inactiveFileBytes: f.inactive,
      pressure: pressure(f.memorySome, f.memoryFull),
    },
    swap: {
      usageBytes: f.swap,
      // v1 has one limit for both together.
      limitBytes:
        isV2 || f.swapLimit === undefined
          ? f.swapLimit
          : difference(f.swapLimit, f.memoryLimit ?? 0n),
    },
    oomKills: f.oomKills,
    pids: { current: f.tasks, limit: f.tasksLimit },
    io: [
      {
        major: f.major,
        minor: f.minor,
        readBytes: f.readBytes,
        writeBytes: f.writtenBytes,
        reads: f.reads,
        writes: f.writes,
      },
    ],
    ioPressure: pressure(f.ioSome, f.ioFull),
    hugetlb: [
      {
        pageSize: "2MB",
        usageBytes: f.pages,
        maxUsageBytes: isV2 ? f.pages : f.pagesPeak,
        failures: f.pageFailures,
      },
    ],
  };
}

function expectedLimits(f: Figures, isV2: boolean): CgroupLimits {
  return {
    cpuShares: isV2 ? 2n + ((f.weight - 1n) * 262_142n) / 9_999n : f.weight,
    cpuPeriodMicros: f.period,
    cpuQuotaMicros: f.quota,
    // v2 protects nothing with 0.
    memoryReservationBytes: isV2 && f.reservation === 0n ? undefined : f.reservation,
  };
}

/** Nothing is below zero, whatever is not there. */
function checkSane(sample: CgroupSample): void {
  const values = [
    sample.memory?.workingSetBytes,
    sample.swap?.usageBytes,
    sample.swap?.limitBytes,
    sample.cpu?.usageNanos,
  ];
  for (const value of values) assert.ok(value === undefined || value >= 0n);
}

/** The files of the input before are written over: making them anew takes as long as all the rest. */
function fill(
  files: readonly (readonly [string, string])[],
  dropped: ReadonlySet<number>,
  isV2: boolean,
): string {
  const place = path.join(scratchFolder("cgroup-sample"), isV2 ? "two" : "one");
  for (const name of isV2 ? [""] : controllers)
    mkdirSync(path.join(place, name), { recursive: true });
  for (const [at, [name, content]] of files.entries()) {
    const file = path.join(place, name);
    if (dropped.has(at)) rmSync(file, { force: true });
    else writeFileSync(file, content);
  }
  return place;
}
