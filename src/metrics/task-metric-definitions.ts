// SPDX-License-Identifier: Apache-2.0
import type { CgroupSample, IoSample, Pressure } from "./cgroup/cgroup-sample.ts";
import type { InterfaceCounters } from "./interface-counters.ts";
import type { TaskSample } from "./task-samples.ts";

export interface TaskMetricValue {
  readonly value: number;
  /** Beside namespace, pod, container, id and image. */
  readonly labels?: Readonly<Record<string, string>>;
}

export interface TaskMetricDefinition {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge";
  /** No value where the host does not keep the figure. */
  read(sample: TaskSample): readonly TaskMetricValue[];
}

type Figure = bigint | number | undefined;

/** The container_* metrics, by the names dashboards know. CPU times are seconds with fractions. */
export const taskMetricDefinitions: readonly TaskMetricDefinition[] = [
  ...cpuMetrics(),
  ...memoryMetrics(),
  ...ioMetrics(),
  ...hugetlbMetrics(),
  ...pressureMetrics(),
  ...processMetrics(),
  ...networkMetrics(),
];

function cpuMetrics(): TaskMetricDefinition[] {
  const of = (pick: (cpu: NonNullable<CgroupSample["cpu"]>) => Figure) => (cgroup: CgroupSample) =>
    cgroup.cpu === undefined ? undefined : pick(cgroup.cpu);
  return [
    counter(
      "container_cpu_usage_seconds_total",
      "CPU time used, in seconds.",
      of((cpu) => seconds(cpu.usageNanos)),
    ),
    counter(
      "container_cpu_user_seconds_total",
      "CPU time used in user mode, in seconds.",
      of((cpu) => seconds(cpu.userNanos)),
    ),
    counter(
      "container_cpu_system_seconds_total",
      "CPU time used in the kernel, in seconds.",
      of((cpu) => seconds(cpu.systemNanos)),
    ),
    counter(
      "container_cpu_cfs_periods_total",
      "Enforcement periods that have passed.",
      of((cpu) => cpu.periods),
    ),
    counter(
      "container_cpu_cfs_throttled_periods_total",
      "Periods in which the quota ran out.",
      of((cpu) => cpu.throttledPeriods),
    ),
    counter(
      "container_cpu_cfs_throttled_seconds_total",
      "Time spent throttled, in seconds.",
      of((cpu) => seconds(cpu.throttledNanos)),
    ),
  ];
}

function memoryMetrics(): TaskMetricDefinition[] {
  const of =
    (pick: (memory: NonNullable<CgroupSample["memory"]>) => Figure) => (cgroup: CgroupSample) =>
      cgroup.memory === undefined ? undefined : pick(cgroup.memory);
  return [
    gauge(
      "container_memory_usage_bytes",
      "Memory in use, page cache included.",
      of((memory) => memory.usageBytes),
    ),
    gauge(
      "container_memory_working_set_bytes",
      "Memory in use without page cache that can be dropped.",
      of((memory) => memory.workingSetBytes),
    ),
    gauge(
      "container_memory_rss",
      "Anonymous memory.",
      of((memory) => memory.rssBytes),
    ),
    gauge(
      "container_memory_cache",
      "Page cache.",
      of((memory) => memory.cacheBytes),
    ),
    gauge(
      "container_memory_mapped_file",
      "Mapped files.",
      of((memory) => memory.mappedFileBytes),
    ),
    gauge(
      "container_memory_kernel_usage",
      "Kernel memory.",
      of((memory) => memory.kernelBytes),
    ),
    gauge(
      "container_memory_max_usage_bytes",
      "The most memory ever in use.",
      of((memory) => memory.maxUsageBytes),
    ),
    gauge(
      "container_memory_total_active_file_bytes",
      "Page cache in active use.",
      of((memory) => memory.activeFileBytes),
    ),
    gauge(
      "container_memory_total_inactive_file_bytes",
      "Page cache that can be dropped.",
      of((memory) => memory.inactiveFileBytes),
    ),
    gauge(
      "container_spec_memory_limit_bytes",
      "Memory limit; 0 when there is none.",
      of((memory) => memory.limitBytes ?? 0n),
    ),
    counter(
      "container_memory_failcnt",
      "How often an allocation met the limit.",
      of((memory) => memory.failures),
    ),
    {
      name: "container_memory_failures_total",
      help: "Page faults, by kind.",
      type: "counter",
      read: ({ cgroup: { memory } }) =>
        memory === undefined
          ? []
          : [fault("pgfault", memory.pageFaults), fault("pgmajfault", memory.majorPageFaults)],
    },
    gauge("container_memory_swap", "Swap in use.", ({ swap }) => swap?.usageBytes),
    gauge(
      "container_spec_memory_swap_limit_bytes",
      "Swap limit; 0 when there is none.",
      ({ swap }) => (swap === undefined ? undefined : (swap.limitBytes ?? 0n)),
    ),
    counter(
      "container_oom_events_total",
      "Processes killed for want of memory.",
      ({ oomKills }) => oomKills,
    ),
  ];
}

function ioMetrics(): TaskMetricDefinition[] {
  const byDevice = (
    name: string,
    help: string,
    pick: (io: IoSample) => bigint,
  ): TaskMetricDefinition => ({
    name,
    help,
    type: "counter",
    read: ({ cgroup }) =>
      cgroup.io.map((io) => ({
        value: Number(pick(io)),
        labels: { device: `${io.major}:${io.minor}` },
      })),
  });
  return [
    byDevice("container_fs_reads_bytes_total", "Bytes read.", (io) => io.readBytes),
    byDevice("container_fs_writes_bytes_total", "Bytes written.", (io) => io.writeBytes),
    byDevice("container_fs_reads_total", "Reads completed.", (io) => io.reads),
    byDevice("container_fs_writes_total", "Writes completed.", (io) => io.writes),
    {
      name: "container_blkio_device_usage_total",
      help: "Bytes by block device and operation.",
      type: "counter",
      read: ({ cgroup }) =>
        cgroup.io.flatMap((io) => [
          blkio(io, "Read", io.readBytes),
          blkio(io, "Write", io.writeBytes),
        ]),
    },
  ];
}

function hugetlbMetrics(): TaskMetricDefinition[] {
  type Pick = (sample: CgroupSample["hugetlb"][number]) => bigint;
  const byPage = (name: string, help: string, pick: Pick): TaskMetricDefinition => ({
    name,
    help,
    type: "gauge",
    read: ({ cgroup }) =>
      cgroup.hugetlb.map((sample) => ({
        value: Number(pick(sample)),
        labels: { pagesize: sample.pageSize },
      })),
  });
  return [
    byPage("container_hugetlb_usage_bytes", "Huge pages in use.", (sample) => sample.usageBytes),
    byPage(
      "container_hugetlb_max_usage_bytes",
      "The most huge pages ever in use.",
      (sample) => sample.maxUsageBytes,
    ),
  ];
}

function pressureMetrics(): TaskMetricDefinition[] {
  const sources = {
    cpu: (cgroup: CgroupSample): Pressure | undefined => cgroup.cpu?.pressure,
    memory: (cgroup: CgroupSample): Pressure | undefined => cgroup.memory?.pressure,
    io: (cgroup: CgroupSample): Pressure | undefined => cgroup.ioPressure,
  };
  return Object.entries(sources).flatMap(([resource, pressure]) => [
    counter(
      `container_pressure_${resource}_waiting_seconds_total`,
      `Time some tasks waited for ${resource}, in seconds.`,
      (cgroup) => nanosToSeconds(pressure(cgroup)?.some.totalNanos),
    ),
    counter(
      `container_pressure_${resource}_stalled_seconds_total`,
      `Time all tasks waited for ${resource}, in seconds.`,
      (cgroup) => nanosToSeconds(pressure(cgroup)?.full.totalNanos),
    ),
  ]);
}

function processMetrics(): TaskMetricDefinition[] {
  const ofSample = (
    name: string,
    help: string,
    pick: (sample: TaskSample) => Figure,
  ): TaskMetricDefinition => ({
    name,
    help,
    type: "gauge",
    read: (sample) => single(pick(sample)),
  });
  return [
    gauge("container_threads", "Threads.", ({ pids }) => pids?.current),
    gauge("container_threads_max", "Thread limit; 0 when there is none.", ({ pids }) =>
      pids === undefined ? undefined : (pids.limit ?? 0n),
    ),
    ofSample("container_processes", "Processes.", (sample) => sample.processes),
    ofSample(
      "container_last_seen",
      "When this was read, in seconds since the epoch.",
      ({ cgroup }) => seconds(cgroup.takenAtNanos),
    ),
    ofSample("container_start_time_seconds", "Start time in seconds since the epoch.", ({ task }) =>
      seconds(task.startedAtNanos),
    ),
  ];
}

function networkMetrics(): TaskMetricDefinition[] {
  const figures = [
    ["bytes", "Bytes"],
    ["packets", "Packets"],
    ["errors", "Errors"],
    ["dropped", "Packets dropped"],
  ] as const;
  return (["receive", "transmit"] as const).flatMap((direction) =>
    figures.map(([figure, what]): TaskMetricDefinition => {
      const suffix = figure === "dropped" ? "packets_dropped" : figure;
      return {
        name: `container_network_${direction}_${suffix}_total`,
        help: `${what} on ${direction}, by interface of the pod.`,
        type: "counter",
        read: ({ interfaces }) =>
          interfaces.map((counters: InterfaceCounters) => ({
            value: counters[direction][figure],
            labels: { interface: counters.name },
          })),
      };
    }),
  );
}

function counter(
  name: string,
  help: string,
  pick: (cgroup: CgroupSample) => Figure,
): TaskMetricDefinition {
  return { name, help, type: "counter", read: ({ cgroup }) => single(pick(cgroup)) };
}

function gauge(
  name: string,
  help: string,
  pick: (cgroup: CgroupSample) => Figure,
): TaskMetricDefinition {
  return { name, help, type: "gauge", read: ({ cgroup }) => single(pick(cgroup)) };
}

function single(figure: Figure): TaskMetricValue[] {
  return figure === undefined ? [] : [{ value: Number(figure) }];
}

function fault(kind: string, count: bigint): TaskMetricValue {
  return { value: Number(count), labels: { failure_type: kind, scope: "hierarchy" } };
}

function blkio(io: IoSample, operation: string, bytes: bigint): TaskMetricValue {
  const [major, minor] = [String(io.major), String(io.minor)];
  return { value: Number(bytes), labels: { device: `${major}:${minor}`, major, minor, operation } };
}

function seconds(nanos: bigint): number {
  return Number(nanos) / 1e9;
}

function nanosToSeconds(nanos: bigint | undefined): number | undefined {
  return nanos === undefined ? undefined : seconds(nanos);
}
