// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import type { Metric } from "../../../src/gen/cri.gen.ts";
import { parsePrometheusText } from "../../support/prometheus-text.ts";
import { until } from "../../support/until.ts";
import { criMetricNames } from "../guest/cri-metric-names.ts";
import { cgroupFile, GuestNode } from "../guest/node.ts";

const mebibyte = 1n << 20n;

suite("stats and metrics on cgroup v2", () => {
  const node = new GuestNode();
  const { cri } = node;
  let pod: Awaited<ReturnType<GuestNode["runPod"]>>;
  let id = "";
  let cgroup = "";

  before(async () => {
    await node.pull();
    pod = await node.runPod();
    // Twice as much work as its CPU limit lets through, two megabytes in memory and two on the disk.
    const work =
      "dd if=/dev/zero of=/dev/shm/two bs=1M count=2; dd if=/dev/zero of=/two bs=1M count=2; sync; while :; do :; done";
    id = await cri.startContainer(pod, node.image("shell"), ["sh", "-c", work], {
      metadata: { name: "app", attempt: 0 },
      linux: {
        resources: {
          cpuPeriod: 100_000n,
          cpuQuota: 30_000n,
          cpuShares: 512n,
          memoryLimitInBytes: 64n * mebibyte,
          memorySwapLimitInBytes: 64n * mebibyte,
        },
      },
    });
    cgroup = await node.cgroupOf(id);
    await until("it is throttled", async () =>
      /^nr_throttled [1-9]/m.test(await cgroupFile(cgroup, "cpu.stat")),
    );
    await until("pressure is accounted", async () =>
      /^some .*total=[1-9]/m.test(await cgroupFile(cgroup, "cpu.pressure")),
    );
    await until("it wrote its files", async () =>
      /wbytes=[1-9]/.test(await cgroupFile(cgroup, "io.stat")),
    );
  });
  after(() => node[Symbol.asyncDispose]());

  test("ContainerStats has CPU, memory, swap and I/O, each with its pressure", async () => {
    const { stats } = await cri.runtime.ContainerStats({ containerId: id });
    assert.ok((stats?.cpu?.usageCoreNanoSeconds?.value ?? 0n) > 0n);
    assert.ok((stats?.cpu?.psi?.Some?.Total ?? 0n) > 0n, "cpu.psi");
    const memory = stats?.memory;
    assert.ok((memory?.usageBytes?.value ?? 0n) >= 2n * mebibyte);
    assert.ok((memory?.workingSetBytes?.value ?? 0n) >= 2n * mebibyte);
    assert.ok((memory?.availableBytes?.value ?? 0n) < 64n * mebibyte);
    assert.ok((memory?.rssBytes?.value ?? 0n) > 0n);
    assert.ok((memory?.pageFaults?.value ?? 0n) > 0n);
    assert.ok(memory?.psi?.Full, "memory.psi");
    assert.ok(stats?.io?.psi?.Full, "io.psi");
    assert.equal(stats?.swap?.swapUsageBytes?.value, 0n);
    assert.equal(stats?.swap?.swapAvailableBytes?.value, 0n);
    // The first answer waits a second for the figure, and the emulated machine takes longer.
    await until("the layer is measured", async () => {
      const { stats: later } = await cri.runtime.ContainerStats({ containerId: id });
      return (later?.writableLayer?.usedBytes?.value ?? 0n) >= 2n * mebibyte;
    });
  });

  test("PodSandboxStats counts the pod's own cgroup, pressure among it", async () => {
    const { stats } = await cri.runtime.PodSandboxStats({ podSandboxId: pod.id });
    const { linux } = stats ?? {};
    const [own] = linux?.containers ?? [];
    const cpuOf = (it: typeof own | typeof linux): bigint =>
      it?.cpu?.usageCoreNanoSeconds?.value ?? 0n;
    assert.ok(cpuOf(linux) > 0n && cpuOf(linux) >= cpuOf(own));
    assert.ok((linux?.memory?.workingSetBytes?.value ?? 0n) >= 2n * mebibyte);
    assert.ok((linux?.cpu?.psi?.Some?.Total ?? 0n) > 0n, "cpu.psi");
    assert.ok(linux?.memory?.psi, "memory.psi");
    assert.ok(linux?.io?.psi, "io.psi");
    assert.equal(linux?.network?.defaultInterface?.name, "eth0");
    assert.ok((linux?.process?.processCount?.value ?? 0n) >= 2n);
  });

  test("CPU rates come after a while", async () => {
    await until("usage_nano_cores is there", async () => {
      const { stats } = await cri.runtime.ContainerStats({ containerId: id });
      const { stats: ofPod } = await cri.runtime.PodSandboxStats({ podSandboxId: pod.id });
      return (
        (stats?.cpu?.usageNanoCores?.value ?? 0n) > 0n &&
        (ofPod?.linux?.cpu?.usageNanoCores?.value ?? 0n) > 0n
      );
    });
  });

  test("all 56 metrics are described and there, with what the cgroup's files say", async () => {
    const { descriptors } = await cri.runtime.ListMetricDescriptors({});
    const described = new Map(descriptors.map(({ name, labelKeys }) => [name, labelKeys]));
    assert.deepEqual(
      criMetricNames.filter((name) => !described.has(name)),
      [],
      "not described",
    );
    const { podMetrics } = await cri.runtime.ListPodSandboxMetrics({});
    const mine = podMetrics.find(({ podSandboxId }) => podSandboxId === pod.id);
    const own = mine?.containerMetrics.find(({ containerId }) => containerId === id)?.metrics ?? [];
    const all: Metric[] = [...(mine?.metrics ?? []), ...own];
    assert.deepEqual(
      criMetricNames.filter((name) => !all.some((metric) => metric.name === name)),
      [],
      "without a value",
    );
    const value = (name: string, ...labels: readonly string[]): bigint =>
      own.find(
        (metric) =>
          metric.name === name && labels.every((label) => metric.labelValues.includes(label)),
      )?.value?.value ?? -1n;
    assert.equal(value("container_spec_memory_limit_bytes"), 64n * mebibyte);
    assert.equal(value("container_spec_cpu_quota"), 30_000n);
    // By way of the cgroup's weight, which is coarser.
    assert.ok(value("container_spec_cpu_shares") > 490n);
    assert.ok(value("container_spec_cpu_shares") <= 512n);
    assert.ok(value("container_cpu_cfs_throttled_periods_total") > 0n);
    assert.ok(value("container_memory_max_usage_bytes") >= 2n * mebibyte, "memory.peak");
    assert.ok(value("container_memory_kernel_usage") > 0n);
    // One for each disk; some were only read from.
    const written = own.filter(({ name }) => name === "container_fs_writes_bytes_total");
    assert.ok(written.some((metric) => (metric.value?.value ?? 0n) > 0n));
    assert.equal(value("container_hugetlb_usage_bytes", "2MB"), 0n);
    assert.ok(value("container_pressure_cpu_waiting_seconds_total") >= 0n);
    assert.ok(value("container_threads_max") > 0n);
    assert.equal(value("container_memory_swap"), 0n);
  });

  test("/metrics has the pressure as seconds with a fraction", async () => {
    const text = await (await fetch("http://127.0.0.1:9464/metrics")).text();
    const families = parsePrometheusText(text);
    const sample = families
      .get("container_pressure_cpu_waiting_seconds_total")
      ?.samples.find(({ labels }) => labels["container"] === "app");
    assert.ok((sample?.value ?? 0) > 0);
  });
});
