// SPDX-License-Identifier: Apache-2.0
// Two hundred tasks on one daemon, a thousand execs, and a subscriber that does not read.
import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { connectPeer } from "../../support/grpc-peer.ts";
import { lacking, podPrograms } from "../../support/lacking.ts";
import { nothingLeft } from "../../support/leaks.ts";
import type { Cri, RunningPod } from "../../support/pods.ts";
import { processesInCgroup, processInfo, shimsOf } from "../../support/processes.ts";
import { parsePrometheusText } from "../../support/prometheus-text.ts";
import { openTestbed, type Testbed } from "../../support/testbed.ts";
import { until } from "../../support/until.ts";

const podCount = 8;
const containersEach = 24; // with the sandboxes' own, 200 tasks
const execs = 1000;
const atOnce = 8;
const events = 12_000;
const hostNetwork = {
  linux: { securityContext: { namespaceOptions: { network: "NODE", pid: "CONTAINER" } } },
} as const;

/** Runs `work` for 0 … count-1, a few at once. */
async function inParallel(count: number, work: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
}

suite("under load", { skip: lacking(...podPrograms) }, () => {
  let bed: Testbed;
  let cri: Cri;
  const pods: RunningPod[] = [];
  const containers: string[] = [];
  before(async () => {
    bed = await openTestbed({ logLevel: "info" });
    ({ cri } = bed);
  });
  after(() => bed?.finish());

  const filesOf = async (pid: number): Promise<number> => (await readdir(`/proc/${pid}/fd`)).length;
  /** The least of some samples: what a collection of garbage had not reached yet does not count. */
  const residentBytes = async (): Promise<number> => {
    const samples: number[] = [];
    for (let sample = 0; sample < 20; sample += 1) {
      samples.push(processInfo(bed.daemon.pid())?.rssBytes ?? 0);
      await sleep(50);
    }
    return Math.min(...samples);
  };
  const count = async (name: string): Promise<number> => {
    const text = await (await fetch(`${bed.daemon.metricsUrl}/metrics`)).text();
    return parsePrometheusText(text).get(name)?.samples[0]?.value ?? 0;
  };

  test("200 tasks run, are listed, and outlive a kill -9", async (t) => {
    const startedAt = performance.now();
    await inParallel(podCount, async () => void pods.push(await cri.runPod(hostNetwork)));
    await inParallel(podCount * containersEach, async (index) => {
      const pod = pods[index % podCount];
      assert.ok(pod);
      const id = await cri.startContainer(pod, bed.images.shell.reference, ["sleep", "100000"]);
      containers.push(id);
    });
    const rss = processInfo(bed.daemon.pid())?.rssBytes ?? 0;
    t.diagnostic(`${Math.round(performance.now() - startedAt)} ms, ${rss >> 20} MiB resident`);
    const tasks = bed.daemon.client("containerd.services.tasks.v1.Tasks");
    const list = async (): Promise<unknown[]> =>
      (await tasks.List({}, { namespace: "k8s.io" })).tasks.map(({ status }) => status);
    const all = Array.from({ length: podCount * (containersEach + 1) }, () => "RUNNING");
    assert.deepEqual(await list(), all);
    await bed.daemon.kill9();
    const downAt = performance.now();
    await bed.daemon.start();
    t.diagnostic(`serves again after ${Math.round(performance.now() - downAt)} ms`);
    // A start goes on without shims that are silent for a second, as they are on a busy machine.
    await until("all tasks are listed", async () => {
      assert.deepEqual(await list(), all);
      return true;
    });
    const { containers: listed } = await cri.runtime.ListContainers({});
    assert.ok(listed.every(({ state }) => state === "CONTAINER_RUNNING"));
    assert.equal(shimsOf(bed.daemon.socket).length, podCount);
  });

  test("1000 execs leave no descriptor, FIFO, process or memory behind", async (t) => {
    const exec = async (index: number): Promise<void> => {
      const id = containers[index % containers.length] ?? "";
      const { exitCode, stdout } = await cri.exec(id, ["sh", "-c", `echo ${index}; exit 3`]);
      assert.deepEqual([exitCode, stdout], [3, `${index}\n`]);
    };
    // Until the heap has found its size: resident memory grows by some 40 MiB over the first
    // thousand and stays there, while what a collection leaves of the heap is the same throughout.
    await inParallel(execs, exec);
    const pid = bed.daemon.pid();
    const fifos = path.join(bed.daemon.folder, "state/fifo");
    const shims = shimsOf(bed.daemon.socket).map((shim) => shim.pid);
    const measure = async (): Promise<Record<string, number>> => ({
      descriptors: await filesOf(pid),
      fifos: (await readdir(fifos)).length,
      processes: processesInCgroup(cri.settings.cgroupParent).length,
      threads: processInfo(pid)?.threads ?? 0,
      shimDescriptors: (await Promise.all(shims.map(filesOf))).reduce((sum, it) => sum + it, 0),
    });
    const residentBefore = await residentBytes();
    const before = await measure();
    const startedAt = performance.now();
    await inParallel(execs, exec);
    t.diagnostic(`${Math.round((performance.now() - startedAt) / execs)} ms an exec`);
    await until("all is as before", async () => {
      assert.deepEqual(await measure(), before);
      return true;
    });
    const grown = (await residentBytes()) - residentBefore;
    t.diagnostic(
      `resident memory: ${residentBefore >> 20} MiB, ${(grown / 2 ** 20).toFixed(1)} more`,
    );
    assert.ok(grown < 16 * 2 ** 20, `${grown} bytes more`);
  });

  test("a subscriber that does not read holds nobody; what it loses is counted", async (t) => {
    const lostBefore = await count("berth_events_dropped_total");
    using slow = connectPeer(bed.daemon.socket);
    using quick = connectPeer(bed.daemon.socket);
    const filters = ['topic=="/load/event"'];
    const stop = new AbortController();
    const subscribe = (peer: typeof slow): AsyncIterator<unknown> => {
      const service = peer.client("containerd.services.events.v1.Events");
      const stream = service.Subscribe({ filters }, { signal: stop.signal });
      return stream[Symbol.asyncIterator]();
    };
    const unread = subscribe(slow);
    const read = subscribe(quick);
    const publisher = bed.daemon.client("containerd.services.events.v1.Events");
    const event = { type_url: "load.test/Event", value: Buffer.alloc(1024) };
    const publish = async (): Promise<void> => {
      await publisher.Publish({ topic: "/load/event", event }, { namespace: "load" });
    };
    // Both have their subscription once they got one.
    const firsts = [unread.next(), read.next()];
    const both = Promise.all(firsts).then(() => "both");
    while ((await Promise.race([both, sleep(20, "wait")])) !== "both") await publish();
    let taken = 0;
    const reading = (async () => {
      while (taken < events) {
        await read.next();
        taken += 1;
      }
    })();
    const startedAt = performance.now();
    await inParallel(events, publish);
    await reading;
    t.diagnostic(
      `${Math.round(events / ((performance.now() - startedAt) / 1000))} events a second`,
    );
    assert.ok(taken >= events, "the quick one misses none");
    const lost = (await count("berth_events_dropped_total")) - lostBefore;
    t.diagnostic(`${lost} of ${events} were dropped for the slow one`);
    assert.ok(lost > 0 && lost < events, `${lost} dropped`);
    stop.abort();
    assert.equal((await cri.exec(containers[0] ?? "", ["echo", "on"])).stdout, "on\n");
  });

  test("all pods at once are removed, and nothing is left", async (t) => {
    const startedAt = performance.now();
    await cri.removeAllPods();
    t.diagnostic(`${Math.round(performance.now() - startedAt)} ms`);
    await nothingLeft(bed.daemon.territory);
  });
});
