// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseNetDev } from "../../metrics/interface-counters.ts";
import type { TaskSample } from "../../metrics/task-samples.ts";
import { createPodMetrics } from "./pod-metrics.ts";

const call = { signal: new AbortController().signal };

/** What the Kubernetes project asks of a runtime, but for what only some hosts have. */
const required = `
  container_cpu_usage_seconds_total container_cpu_user_seconds_total container_cpu_system_seconds_total
  container_cpu_cfs_periods_total container_cpu_cfs_throttled_periods_total
  container_cpu_cfs_throttled_seconds_total
  container_memory_usage_bytes container_memory_working_set_bytes container_memory_rss
  container_memory_cache container_memory_mapped_file container_memory_kernel_usage
  container_memory_swap container_memory_max_usage_bytes container_memory_failcnt
  container_memory_failures_total container_oom_events_total
  container_blkio_device_usage_total container_fs_reads_bytes_total container_fs_reads_total
  container_fs_writes_bytes_total container_fs_writes_total
  container_fs_usage_bytes container_fs_limit_bytes container_fs_inodes_free container_fs_inodes_total
  container_network_receive_bytes_total container_network_receive_packets_total
  container_network_receive_packets_dropped_total container_network_receive_errors_total
  container_network_transmit_bytes_total container_network_transmit_packets_total
  container_network_transmit_packets_dropped_total container_network_transmit_errors_total
  container_processes container_threads container_threads_max container_file_descriptors
  container_sockets container_ulimits_soft container_last_seen container_start_time_seconds
  container_spec_cpu_period container_spec_cpu_shares container_spec_cpu_quota
  container_spec_memory_limit_bytes container_spec_memory_swap_limit_bytes
  container_spec_memory_reservation_limit_bytes`;
const onSomeHosts = `
  container_hugetlb_usage_bytes container_hugetlb_max_usage_bytes
  container_pressure_cpu_waiting_seconds_total container_pressure_cpu_stalled_seconds_total
  container_pressure_memory_waiting_seconds_total container_pressure_memory_stalled_seconds_total
  container_pressure_io_waiting_seconds_total container_pressure_io_stalled_seconds_total`;
const words = (text: string): string[] => text.trim().split(/\s+/);

const pressure = {
  some: { totalNanos: 2_900_000_000n, avg10: 0, avg60: 0, avg300: 0 },
  full: { totalNanos: 0n, avg10: 0, avg60: 0, avg300: 0 },
};

function sample(containerId: string, isSandbox: boolean): TaskSample {
  return {
    task: {
      namespace: "shop",
      pod: "web",
      podUid: "u",
      container: isSandbox ? "POD" : "app",
      containerId,
      sandboxId: "pod",
      image: "img",
      pid: 1,
      cgroupPaths: { version: 2, folder: "/none" },
      cgroupPath: `/kubepods/${containerId}`,
      snapshotKey: containerId,
      startedAtNanos: 2_500_000_000n,
    },
    cgroup: {
      takenAtNanos: 3_000_000_000n,
      cpu: {
        usageNanos: 1_999_999_999n,
        userNanos: 0n,
        systemNanos: 0n,
        periods: 0n,
        throttledPeriods: 0n,
        throttledNanos: 0n,
        pressure,
      },
      memory: {
        usageBytes: 10n,
        limitBytes: undefined,
        workingSetBytes: 8n,
        rssBytes: 0n,
        cacheBytes: 0n,
        mappedFileBytes: 0n,
        kernelBytes: 0n,
        maxUsageBytes: undefined,
        failures: 0n,
        pageFaults: 0n,
        majorPageFaults: 0n,
        activeFileBytes: 0n,
        inactiveFileBytes: 0n,
        pressure,
      },
      swap: undefined,
      oomKills: undefined,
      pids: { current: 3n, limit: undefined },
      io: [{ major: 8, minor: 0, readBytes: 1n, writeBytes: 2n, reads: 3n, writes: 4n }],
      ioPressure: pressure,
      hugetlb: [{ pageSize: "2MB", usageBytes: 0n, maxUsageBytes: 0n, failures: 0n }],
    },
    limits: {
      cpuShares: 2n,
      cpuPeriodMicros: 100_000n,
      cpuQuotaMicros: undefined,
      memoryReservationBytes: undefined,
    },
    processes: 1,
    openFiles: { descriptors: 4, sockets: 1 },
    openFilesLimit: 1024,
    interfaces: isSandbox ? parseNetDev("h\nh\n eth0: 7 1 2 0 0 0 0 0 8 1 3 0 0 0 0 0\n") : [],
    fileSystem: { device: "/dev/sda1", limitBytes: 100, inodesFree: 1, inodesTotal: 2 },
    layerBytes: 5,
  };
}

const modern = { pressure: true, hugetlb: true };
const reader = (host = modern) =>
  createPodMetrics({
    host,
    samples: () => Promise.resolve([sample("pod", true), sample("c1", false)]),
  });

test("every metric that is asked for is described, with help and label keys", () => {
  const descriptors = reader().descriptors();
  const names = descriptors.map(({ name }) => name);
  assert.equal(words(required).length + words(onSomeHosts).length, 56);
  for (const name of [...words(required), ...words(onSomeHosts)]) {
    assert.ok(names.includes(name), name);
  }
  assert.equal(new Set(names).size, names.length);
  for (const { name = "", help = "", labelKeys = [] } of descriptors) {
    assert.ok(help !== "" && labelKeys.length >= 6, name ?? "");
  }
});

test("a host without a figure does not promise it", () => {
  const names = reader({ pressure: false, hugetlb: false })
    .descriptors()
    .map(({ name }) => name);
  assert.deepEqual(
    words(onSomeHosts).filter((name) => names.includes(name)),
    [],
  );
});

test("everything described is there for a pod with a container, with a value for each label", async () => {
  const metrics = reader();
  const [pod] = await metrics.list(call);
  assert.equal(pod?.podSandboxId, "pod");
  const all = [
    ...(pod.metrics ?? []),
    ...(pod.containerMetrics?.find(({ containerId }) => containerId === "c1")?.metrics ?? []),
  ];
  for (const { name, labelKeys = [] } of metrics.descriptors()) {
    const found = all.filter((metric) => metric.name === name);
    assert.ok(found.length > 0, name ?? "");
    for (const { labelValues = [], value, timestamp } of found) {
      assert.equal(labelValues.length, labelKeys.length, name ?? "");
      assert.equal(typeof value?.value, "bigint", name ?? "");
      assert.equal(timestamp, 0n);
    }
  }
  const series = all.map(({ name, labelValues = [] }) => [name, ...labelValues].join("|"));
  assert.equal(new Set(series).size, series.length, "no series twice");
});

test("figures are under the names that cAdvisor gives, whole and, where they have fractions, exact", async () => {
  const [pod] = await reader().list(call);
  const container = pod?.containerMetrics?.find(({ containerId }) => containerId === "c1");
  const one = (name: string) => container?.metrics?.find((metric) => metric.name === name);
  assert.deepEqual(one("container_cpu_usage_seconds_total"), {
    name: "container_cpu_usage_seconds_total",
    timestamp: 0n,
    metricType: "COUNTER",
    labelValues: ["shop", "web", "app", "/kubepods/c1", "img", "c1", "total"],
    value: { value: 1n },
    doubleValue: { value: 1.999999999 },
  });
  const rows = [
    ["container_start_time_seconds", 2n, 2.5],
    ["container_last_seen", 3n, 3],
    ["container_pressure_io_waiting_seconds_total", 2n, 2.9],
    ["container_pressure_io_stalled_seconds_total", 0n, 0],
    ["container_cpu_user_seconds_total", 0n, 0],
    ["container_memory_working_set_bytes", 8n, undefined],
    ["container_cpu_cfs_periods_total", 0n, undefined],
  ] as const;
  for (const [name, whole, exact] of rows) {
    const metric = one(name);
    assert.deepEqual([metric?.value?.value, metric?.doubleValue?.value], [whole, exact], name);
  }
  for (const { name = "", doubleValue } of container?.metrics ?? []) {
    assert.equal(doubleValue !== null, /seconds|last_seen/.test(name ?? ""), name ?? "");
  }
  const [network] = pod?.metrics ?? [];
  assert.deepEqual(network?.labelValues?.slice(0, 3), ["shop", "web", ""]);
});
