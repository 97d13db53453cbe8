// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import type { ContainerEventResponse, Metric } from "../../src/gen/cri.gen.ts";
import { lacking, podPrograms } from "../support/lacking.ts";
import type { Cri, RunningPod } from "../support/pods.ts";
import { parsePrometheusText } from "../support/prometheus-text.ts";
import { openTestbed, type Testbed } from "../support/testbed.ts";
import { until } from "../support/until.ts";

suite("a pod's figures and events", { skip: lacking(...podPrograms) }, () => {
  let bed: Testbed;
  let cri: Cri;
  let pod: RunningPod;
  let containerId = "";

  before(async () => {
    bed = await openTestbed();
    ({ cri } = bed);
    pod = await cri.runPod();
    containerId = await cri.startContainer(
      pod,
      bed.images.shell.reference,
      ["sh", "-c", "echo hello > /file; sleep 100000"],
      {
        metadata: { name: "app", attempt: 0 },
        linux: { resources: { cpuShares: 512n, memoryLimitInBytes: 64n * 1024n * 1024n } },
      },
    );
  });
  after(() => bed?.finish());

  test("PodSandboxStats counts its interface, processes and containers", async () => {
    const { stats } = await cri.runtime.PodSandboxStats({ podSandboxId: pod.id });
    assert.equal(stats?.attributes?.metadata?.name, pod.config.metadata?.name);
    const { linux } = stats ?? {};
    assert.ok((linux?.memory?.usageBytes?.value ?? 0n) > 0n);
    assert.equal(linux?.network?.defaultInterface?.name, "eth0");
    assert.ok((linux?.process?.processCount?.value ?? 0n) >= 2n);
    assert.deepEqual(
      linux?.containers.map(({ attributes }) => attributes?.metadata?.name),
      ["app"],
    );
  });

  test("a pod whose process is gone keeps the others in the list", async () => {
    const doomed = await cri.runPod();
    const { info } = await cri.runtime.PodSandboxStatus({ podSandboxId: doomed.id, verbose: true });
    process.kill((JSON.parse(info["info"] ?? "{}") as { pid: number }).pid, "SIGKILL");
    const { stats } = await cri.runtime.ListPodSandboxStats({});
    assert.ok(stats.some(({ attributes }) => attributes?.id === pod.id));
    const { podMetrics } = await cri.runtime.ListPodSandboxMetrics({});
    assert.ok(podMetrics.some(({ podSandboxId }) => podSandboxId === pod.id));
    await cri.removePod(doomed.id);
  });

  test("every metric that is described is there for a running container", async () => {
    const { descriptors } = await cri.runtime.ListMetricDescriptors({});
    const { podMetrics } = await cri.runtime.ListPodSandboxMetrics({});
    const mine = podMetrics.find(({ podSandboxId }) => podSandboxId === pod.id);
    const all: Metric[] = [
      ...(mine?.metrics ?? []),
      ...(mine?.containerMetrics.find((entry) => entry.containerId === containerId)?.metrics ?? []),
    ];
    // A container that never touched a disk has no figures by device.
    const optional = /^container_(blkio_device_usage|fs_(reads|writes))/;
    for (const { name, help, labelKeys } of descriptors) {
      assert.notEqual(help, "", name);
      const found = all.filter((metric) => metric.name === name);
      assert.ok(found.length > 0 || optional.test(name), name);
      for (const { labelValues, value, doubleValue } of found) {
        assert.equal(labelValues.length, labelKeys.length, name);
        if (doubleValue) assert.equal(BigInt(Math.floor(doubleValue.value)), value?.value, name);
      }
    }
    const value = (name: string): bigint | undefined =>
      all.find((metric) => metric.name === name)?.value?.value;
    assert.equal(value("container_spec_cpu_shares"), 512n);
    assert.equal(value("container_spec_memory_limit_bytes"), 64n * 1024n * 1024n);
    assert.ok((value("container_file_descriptors") ?? 0n) > 0n);
    const cpu = all.find((metric) => metric.name === "container_cpu_usage_seconds_total");
    assert.ok((cpu?.doubleValue?.value ?? 0) > 0, "less than a second is something");
    const started = Number(value("container_start_time_seconds"));
    assert.ok(Math.abs(Date.now() / 1000 - started) < 3600, "seconds since the epoch");
  });

  test("/metrics has the same series under the same labels", async () => {
    const { descriptors } = await cri.runtime.ListMetricDescriptors({});
    const { podMetrics } = await cri.runtime.ListPodSandboxMetrics({});
    const text = await (await fetch(`${bed.daemon.metricsUrl}/metrics`)).text();
    const families = parsePrometheusText(text);
    const keys = new Map(descriptors.map(({ name, labelKeys }) => [name, labelKeys]));
    const mine = podMetrics.find(({ podSandboxId }) => podSandboxId === pod.id);
    const container = mine?.containerMetrics.find((entry) => entry.containerId === containerId);
    for (const { name, labelValues } of container?.metrics ?? []) {
      const wanted = Object.fromEntries(
        (keys.get(name) ?? []).map((key, at) => [key, labelValues[at] ?? ""]),
      );
      const same = families
        .get(name)
        ?.samples.some(({ labels }) =>
          Object.entries(wanted).every(([key, value]) => (labels[key] ?? "") === value),
        );
      assert.ok(same, `${name} ${JSON.stringify(wanted)}`);
    }
  });

  test("the list streams answer what the lists do", async () => {
    const ids: string[] = [];
    for await (const { containers } of cri.runtime.StreamContainers({})) {
      ids.push(...containers.map(({ id }) => id));
    }
    const { containers } = await cri.runtime.ListContainers({});
    assert.deepEqual(
      ids,
      containers.map(({ id }) => id),
    );
    const pods: string[] = [];
    for await (const { podSandboxStats } of cri.runtime.StreamPodSandboxStats({})) {
      pods.push(...podSandboxStats.map(({ attributes }) => attributes?.id ?? ""));
    }
    assert.deepEqual(pods, [pod.id]);
    for await (const { podSandboxMetrics } of cri.runtime.StreamPodSandboxMetrics({})) {
      assert.equal(podSandboxMetrics.length, 1);
    }
    for await (const { images } of cri.images.StreamImages({})) assert.ok(images.length > 0);
  });

  test("GetContainerEvents follows a life, and a client that does not read holds nobody up", async () => {
    const abort = new AbortController();
    const idle = cri.runtime.GetContainerEvents({}, { signal: abort.signal });
    const idleReader = idle[Symbol.asyncIterator]();
    const first = idleReader.next(); // opens the call; the rest is never read
    const seen: ContainerEventResponse[] = [];
    const reading = (async () => {
      for await (const event of cri.runtime.GetContainerEvents({}, { signal: abort.signal })) {
        seen.push(event);
      }
    })().catch(() => {});
    const types = (id: string): string[] =>
      seen.filter((event) => event.containerId === id).map((event) => event.containerEventType);
    const probe = await until("both clients are subscribed", async () => {
      const id = await cri.createContainer(pod, bed.images.shell.reference, ["true"]);
      await cri.runtime.RemoveContainer({ containerId: id });
      return seen.length > 0 && (await Promise.race([first, Promise.resolve(undefined)])) && id;
    });
    assert.ok(probe);
    const id = await cri.startContainer(pod, bed.images.shell.reference, ["true"]);
    await cri.reaches(id, "CONTAINER_EXITED");
    await cri.runtime.RemoveContainer({ containerId: id });
    await until("its last event has come", async () => types(id).length === 4);
    assert.deepEqual(types(id), [
      "CONTAINER_CREATED_EVENT",
      "CONTAINER_STARTED_EVENT",
      "CONTAINER_STOPPED_EVENT",
      "CONTAINER_DELETED_EVENT",
    ]);
    assert.ok(seen.every(({ podSandboxStatus }) => podSandboxStatus?.metadata?.uid));
    abort.abort();
    await reading;
    await idleReader.return?.()?.catch?.(() => {});
  });

  test("UpdateContainerResources refuses a memory limit below what is used", async () => {
    const before = (await cri.status(containerId)).resources?.linux?.memoryLimitInBytes;
    await assert.rejects(
      cri.runtime.UpdateContainerResources({
        containerId,
        linux: { memoryLimitInBytes: 4096n },
      }),
      { code: "FAILED_PRECONDITION" },
    );
    const { resources } = await cri.status(containerId);
    assert.equal(resources?.linux?.memoryLimitInBytes, before);
    await cri.runtime.UpdateContainerResources({ containerId, linux: { cpuShares: 256n } });
    const { podMetrics } = await cri.runtime.ListPodSandboxMetrics({});
    const metric = podMetrics
      .flatMap(({ containerMetrics }) => containerMetrics)
      .find((entry) => entry.containerId === containerId)
      ?.metrics.find(({ name }) => name === "container_spec_cpu_shares");
    assert.equal(metric?.value?.value, 256n);
  });
});
