// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from "node:timers/promises";
import { processInfo, shimsOf } from "../test/support/processes.ts";
import type { Contender } from "./contender.ts";
import { memoryOf, mib } from "./footprint.ts";
import { cpuMsOf, daemonCpuMs, obedient } from "./pod-cycle.ts";
import { Samples } from "./samples.ts";

/** What many pods take, by what is printed; NaN where it was not measured. */
export type Density = Readonly<Record<string, number>>;

const podsAtOnce = 4;
const execsAtOnce = 8;
const execRounds = 5;
const lists = 30;
const warmUps = 15;

/**
 * Runs `pods` pods with a container each, four at once, looks at the runtime while they do nothing,
 * asks for lists, execs eight at once, restarts the daemon by SIGKILL, and removes all.
 */
export async function density(
  it: Contender,
  image: string,
  { pods, seconds }: { readonly pods: number; readonly seconds: number },
): Promise<Density> {
  const { runtime } = it.cri;
  const before = rss(it);
  const made: { id: string; container: string }[] = [];
  const podUps = new Samples();
  const cpuBeforePods = cpuMsOf(it);
  const up = await timed(() =>
    atOnce(podsAtOnce, pods, () =>
      podUps.time(async () => {
        const pod = await it.cri.runPod();
        made.push({ id: pod.id, container: await it.cri.startContainer(pod, image, obedient) });
      }),
    ),
  );
  await sleep(2000);
  const cpuAPod = (cpuMsOf(it) - cpuBeforePods) / pods;
  const full = rss(it);
  const shims = shimsOf(it.socket);
  const shimsPss = shims.reduce((sum, { pid }) => sum + memoryOf(pid).pss, 0);
  const cpuBefore = daemonCpuMs(it);
  const shimCpuBefore = shimCpuMs(it);
  await sleep(seconds * 1000);
  const idle = (daemonCpuMs(it) - cpuBefore) / seconds;
  const idleShims = (shimCpuMs(it) - shimCpuBefore) / seconds;
  const sandboxLists = await repeat(() => runtime.ListPodSandbox({}));
  const containerLists = await repeat(() => runtime.ListContainers({}));
  const statsLists = await repeat(() => runtime.ListContainerStats({}));
  const sandboxStatsLists = await repeat(() => runtime.ListPodSandboxStats({}));
  // Behind the stats: what those leave to be done must not hold up these.
  const containerStatuses = await repeatEach(made, ({ container }) =>
    runtime.ContainerStatus({ containerId: container }),
  );
  const podStatuses = await repeatEach(made, ({ id }) =>
    runtime.PodSandboxStatus({ podSandboxId: id }),
  );
  const imageStatuses = await repeat(() => it.cri.images.ImageStatus({ image: { image } }));
  const execs = new Samples();
  const cpuBeforeExecs = cpuMsOf(it);
  for (let round = 0; round < execRounds; round++) {
    await Promise.all(
      made
        .slice(0, execsAtOnce)
        .map(({ container }) =>
          execs.time(() =>
            runtime.ExecSync({ containerId: container, cmd: ["true"], timeout: 10n }),
          ),
        ),
    );
  }
  const cpuAnExec = (cpuMsOf(it) - cpuBeforeExecs) / execs.count;
  const restart = await timed(async () => {
    await it.kill();
    await it.start();
  });
  const listed = await runtime.ListContainers({
    filter: { state: { state: "CONTAINER_RUNNING" } },
  });
  if (listed.containers.length !== pods) {
    throw new Error(`${it.name}: ${listed.containers.length} of ${pods} containers run`);
  }
  const stops = new Samples();
  const removals = new Samples();
  const down = await timed(() =>
    atOnce(podsAtOnce, pods, async (index) => {
      const { id } = made[index]!;
      await stops.time(() => runtime.StopPodSandbox({ podSandboxId: id }));
      await removals.time(() => runtime.RemovePodSandbox({ podSandboxId: id }));
    }),
  );
  return {
    "all pods up, s": up / 1000,
    "pods a second": pods / (up / 1000),
    [`pod up p50, ${podsAtOnce} at once, ms`]: podUps.quantile(0.5),
    [`pod up p95, ${podsAtOnce} at once, ms`]: podUps.quantile(0.95),
    "CPU to bring a pod up, ms": cpuAPod,
    "daemon RSS before, MiB": before,
    "daemon RSS, MiB": full,
    "shims PSS, MiB": shimsPss,
    "shim threads": shims.reduce((sum, { threads }) => sum + threads, 0),
    "idle CPU of the daemon, ms a second": idle,
    "idle CPU of the shims, ms a second": idleShims,
    "ListPodSandbox p50, ms": sandboxLists.quantile(0.5),
    "ListContainers p50, ms": containerLists.quantile(0.5),
    "ListContainerStats p50, ms": statsLists.quantile(0.5),
    "ListPodSandboxStats p50, ms": sandboxStatsLists.quantile(0.5),
    "ContainerStatus p50, ms": containerStatuses.quantile(0.5),
    "ContainerStatus p95, ms": containerStatuses.quantile(0.95),
    "PodSandboxStatus p50, ms": podStatuses.quantile(0.5),
    "PodSandboxStatus p95, ms": podStatuses.quantile(0.95),
    "ImageStatus p50, ms": imageStatuses.quantile(0.5),
    [`ExecSync p50, ${execsAtOnce} at once, ms`]: execs.quantile(0.5),
    [`ExecSync p95, ${execsAtOnce} at once, ms`]: execs.quantile(0.95),
    "CPU an ExecSync, ms": cpuAnExec,
    "kill -9 to serving again, s": restart / 1000,
    [`StopPodSandbox p50, ${podsAtOnce} at once, ms`]: stops.quantile(0.5),
    [`StopPodSandbox p95, ${podsAtOnce} at once, ms`]: stops.quantile(0.95),
    [`RemovePodSandbox p50, ${podsAtOnce} at once, ms`]: removals.quantile(0.5),
    "all pods gone, s": down / 1000,
  };
}

async function atOnce(
  width: number,
  count: number,
  work: (index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: width }, lane));
}

async function repeat(call: () => Promise<unknown>): Promise<Samples> {
  const samples = new Samples();
  for (let i = 0; i < warmUps; i++) await call(); // a kubelet asks every second
  for (let i = 0; i < lists; i++) await samples.time(call);
  return samples;
}

/** As a kubelet asks: of one after another. */
async function repeatEach<T>(
  all: readonly T[],
  call: (one: T) => Promise<unknown>,
): Promise<Samples> {
  const samples = new Samples();
  for (const one of all) await samples.time(() => call(one));
  return samples;
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const from = performance.now();
  await work();
  return performance.now() - from;
}

function rss(it: Contender): number {
  return mib(processInfo(it.pid)?.rssBytes);
}

function shimCpuMs(it: Contender): number {
  return shimsOf(it.socket).reduce((sum, info) => sum + info.cpuMs + info.childrenCpuMs, 0);
}
