// SPDX-License-Identifier: Apache-2.0
import { type ProcessInfo, processInfo, shimsOf } from "../test/support/processes.ts";
import type { Contender } from "./contender.ts";
import { Samples } from "./samples.ts";

/** The operations of a cycle, in the order they run and are printed. */
export const operations = [
  "RunPodSandbox",
  "CreateContainer",
  "StartContainer",
  "pod up",
  "ExecSync",
  "ListContainers",
  "StopContainer",
  "StopPodSandbox",
  "RemovePodSandbox",
  "CPU to bring a pod up",
  "CPU whole cycle",
] as const;

export type Operation = (typeof operations)[number];
export type Timings = Readonly<Record<Operation, Samples>>;

export function newTimings(): Timings {
  return Object.fromEntries(operations.map((name) => [name, new Samples()])) as unknown as Timings;
}

/** Ends at once on SIGTERM, so that StopContainer measures the runtime and not a grace period. */
export const obedient = ["sh", "-c", "trap 'exit 0' TERM; sleep 100000 & wait"];

const execsACycle = 3;

/** Runs one pod with one container through its life, adding what each call took. */
export async function podCycle(it: Contender, image: string, timings: Timings): Promise<void> {
  const { runtime } = it.cri;
  const cpuBefore = cpuMsOf(it);
  const from = performance.now();
  const pod = await timings.RunPodSandbox.time(() => it.cri.runPod());
  const containerId = await timings.CreateContainer.time(() =>
    it.cri.createContainer(pod, image, obedient),
  );
  await timings.StartContainer.time(() => runtime.StartContainer({ containerId }));
  timings["pod up"].add(performance.now() - from);
  timings["CPU to bring a pod up"].add(cpuMsOf(it) - cpuBefore);
  for (let i = 0; i < execsACycle; i++) {
    const { exitCode } = await timings.ExecSync.time(() =>
      runtime.ExecSync({ containerId, cmd: ["true"], timeout: 10n }),
    );
    if (exitCode !== 0) throw new Error(`${it.name}: exec of true exited with ${exitCode}`);
  }
  await timings.ListContainers.time(() => runtime.ListContainers({}));
  await timings.StopContainer.time(() => runtime.StopContainer({ containerId, timeout: 10n }));
  // A shim takes its figures with it when it goes: this is the last look at them, but for one that
  // is a child of the daemon, whose figures include it then.
  const shims = shimCpuMs(it, ({ ppid }) => ppid !== it.pid);
  const daemon = daemonCpuMs(it);
  await timings.StopPodSandbox.time(() => runtime.StopPodSandbox({ podSandboxId: pod.id }));
  await timings.RemovePodSandbox.time(() => runtime.RemovePodSandbox({ podSandboxId: pod.id }));
  timings["CPU whole cycle"].add(shims + daemon - cpuBefore + (daemonCpuMs(it) - daemon));
}

/** CPU time of the daemon, its children that ended, and its shims with theirs. */
export function cpuMsOf(it: Contender): number {
  return daemonCpuMs(it) + shimCpuMs(it);
}

/** CPU time of the daemon and its children that ended. */
export function daemonCpuMs(it: Contender): number {
  const info = processInfo(it.pid);
  if (!info) throw new Error(`${it.name} is gone`);
  return info.cpuMs + info.childrenCpuMs;
}

function shimCpuMs(it: Contender, counts: (shim: ProcessInfo) => boolean = () => true): number {
  return shimsOf(it.socket)
    .filter(counts)
    .reduce((sum, info) => sum + info.cpuMs + info.childrenCpuMs, 0);
}
