// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import type { CgroupSample } from "./cgroup/cgroup-sample.ts";
import { parseNetDev } from "./interface-counters.ts";
import type { TaskInfo } from "./ports.ts";
import { createMetrics } from "./registry.ts";
import { registerTaskMetrics } from "./task-metrics.ts";
import { type TaskSampleReader, TaskSamples } from "./task-samples.ts";

const task = (containerId: string): TaskInfo => ({
  namespace: "default",
  pod: 'we"b',
  podUid: "u",
  container: "app",
  containerId,
  image: "img",
  pid: 1,
  cgroupPaths: { version: 2, folder: "/none" },
  cgroupPath: `/kubepods/${containerId}`,
  snapshotKey: containerId,
  sandboxId: "pod-1",
  startedAtNanos: 2_500_000_000n,
});

const sample: CgroupSample = {
  takenAtNanos: 3_000_000_000n,
  cpu: {
    usageNanos: 1_234_567_890n,
    userNanos: 0n,
    systemNanos: 0n,
    periods: 0n,
    throttledPeriods: 0n,
    throttledNanos: 0n,
    pressure: undefined,
  },
  memory: undefined,
  swap: undefined,
  oomKills: 1n,
  pids: { current: 4n, limit: undefined },
  io: [],
  ioPressure: undefined,
  hugetlb: [],
};

const good: TaskSampleReader = {
  sample: async (info) => ({
    task: info,
    cgroup: sample,
    limits: {
      cpuShares: 512n,
      cpuPeriodMicros: 100_000n,
      cpuQuotaMicros: undefined,
      memoryReservationBytes: undefined,
    },
    processes: 2,
    openFiles: { descriptors: 7, sockets: 1 },
    openFilesLimit: 1024,
    fileSystem: { device: "/dev/sda1", limitBytes: 100, inodesFree: 3, inodesTotal: 9 },
    layerBytes: 50,
    interfaces: parseNetDev(
      "h\n h2\n    lo: 1 1 1 1 0 0 0 0 1 1 1 1 0 0 0 0\n  eth0:10 2 0 1 0 0 0 0 20 3 1 0 0 0 0 0\n",
    ),
  }),
};

const labels = (id: string, container = "app") =>
  `namespace="default",pod="we\\"b",container="${container}",id="/kubepods/${id}",image="img",name="${id}"`;

test("a task's series carry its pod, CPU time in fractions of a second", async () => {
  const { registry } = createMetrics({ version: "1", revision: "r" });
  registerTaskMetrics(registry, new TaskSamples(() => [task("a")], { reader: good }));
  const text = await registry.metrics();
  for (const line of [
    `container_cpu_usage_seconds_total{cpu="total",${labels("a")}} 1.23456789`,
    `container_oom_events_total{${labels("a")}} 1`,
    `container_threads{${labels("a")}} 4`,
    `container_processes{${labels("a")}} 2`,
    `container_start_time_seconds{${labels("a")}} 2.5`,
    `container_network_receive_bytes_total{interface="eth0",${labels("a", "")}} 10`,
    `container_network_transmit_errors_total{interface="eth0",${labels("a", "")}} 1`,
    `container_network_receive_packets_dropped_total{interface="eth0",${labels("a", "")}} 1`,
    `container_file_descriptors{${labels("a")}} 7`,
    `container_sockets{${labels("a")}} 1`,
    `container_ulimits_soft{ulimit="max_open_files",${labels("a")}} 1024`,
    `container_fs_usage_bytes{device="/dev/sda1",${labels("a")}} 50`,
    `container_spec_cpu_shares{${labels("a")}} 512`,
    `container_spec_cpu_quota{${labels("a")}} 0`,
    'berth_build_info{version="1",revision="r"} 1',
  ]) {
    assert.ok(text.includes(`${line}\n`), line);
  }
  assert.ok(!text.includes('interface="lo"'));
  assert.ok(!/^container_memory_usage_bytes\{/m.test(text));
});

test("a broken, a missing and a stuck task lose only their own series", async () => {
  const reader: TaskSampleReader = {
    sample: (info, call) => {
      if (info.containerId === "broken") return Promise.reject(new Error("EIO"));
      if (info.containerId === "gone") return Promise.resolve(undefined);
      if (info.containerId === "stuck") return new Promise(() => {});
      return good.sample(info, call);
    },
  };
  const tasks = ["broken", "a", "stuck", "gone", "b"].map(task);
  const samples = new TaskSamples(() => tasks, { reader, timeoutMs: 20 });
  assert.deepEqual(
    (await samples.pass()).map((entry) => entry.task.containerId),
    ["a", "b"],
  );
});

test("a task whose reading hangs is told to end, and read again only then", async () => {
  const signals: AbortSignal[] = [];
  const { promise: end, resolve } = Promise.withResolvers<undefined>();
  const reader: TaskSampleReader = {
    sample: (_info, { signal }) => {
      signals.push(signal);
      return end;
    },
  };
  const samples = new TaskSamples(() => [task("a")], { reader, timeoutMs: 5 });
  for (let pass = 0; pass < 3; pass += 1) assert.deepEqual(await samples.pass(), []);
  assert.deepEqual(
    signals.map(({ aborted }) => aborted),
    [true],
  );
  resolve(undefined);
  await end;
  await samples.pass();
  assert.equal(signals.length, 2);
});

test("concurrent passes share one reading; the next reads anew", async () => {
  let reads = 0;
  const reader: TaskSampleReader = {
    sample: (info, call) => {
      reads += 1;
      return good.sample(info, call);
    },
  };
  const samples = new TaskSamples(() => [task("a")], { reader });
  const { registry } = createMetrics({ version: "1", revision: "r" });
  registerTaskMetrics(registry, samples);
  await Promise.all([registry.metrics(), registry.metrics(), samples.pass()]);
  assert.equal(reads, 1);
  await registry.metrics();
  assert.equal(reads, 2);
});

test("what the daemon records and what it is asked for are both exported", async () => {
  const metrics = createMetrics({ version: "1", revision: "r" });
  metrics.recordRpc({ service: "S", method: "M", code: "OK", seconds: 0.2 });
  metrics.recordPodStartStage("network", 0.3);
  metrics.recordExec("exec_sync");
  metrics.recordImagePull("failure", 2);
  metrics.recordOomKill();
  metrics.recordEventsDropped(7);
  let stages = new Map([["netns", 1]]);
  metrics.observe({
    shims: () => 3,
    operations: () => stages,
    streamingSessions: () => new Map([["exec", 2]]),
    logs: () => ({ bytes: 10, lostBytes: 1 }),
    sandboxes: () => ({ ready: 2, notReady: 1 }),
    transfers: () => ({ running: { pull: 2, push: 0 }, bytes: { pull: 100, push: 1 } }),
  });
  const first = await metrics.registry.metrics();
  for (const line of [
    'berth_rpc_duration_seconds_bucket{le="0.25",service="S",method="M",code="OK"} 1',
    'berth_pod_start_stage_seconds_count{stage="network"} 1',
    'berth_execs_total{kind="exec_sync"} 1',
    'berth_image_pull_seconds_count{result="failure"} 1',
    "berth_oom_kills_total 1",
    "berth_log_bytes_total 10",
    "berth_log_lost_bytes_total 1",
    "berth_shims 3",
    'berth_operations_in_flight{stage="netns"} 1',
    'berth_streaming_sessions{kind="exec"} 2',
    "berth_events_dropped_total 7",
    'berth_sandboxes{state="ready"} 2',
    'berth_image_transfers_in_flight{kind="pull"} 2',
    'berth_image_transfer_bytes_total{kind="pull"} 100',
  ]) {
    assert.ok(first.includes(`${line}\n`), line);
  }
  stages = new Map([["shim", 2]]);
  const second = await metrics.registry.metrics();
  assert.ok(second.includes('in_flight{stage="shim"} 2') && !second.includes('stage="netns"'));
});
