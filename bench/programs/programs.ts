// SPDX-License-Identifier: Apache-2.0
import { readdirSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { processes, shimsOf } from "../../test/support/processes.ts";
import type { Contender } from "../contender.ts";
import { obedient } from "../pod-cycle.ts";
import { Lineage, type Started } from "./lineage.ts";
import { type ProcessTrace, traceProcesses } from "./process-trace.ts";

/** The calls whose programs are counted, in the order of a pod's life. */
export const tracedCalls = [
  "RunPodSandbox",
  "CreateContainer",
  "StartContainer",
  "ExecSync",
  "StopContainer",
  "StopPodSandbox",
  "RemovePodSandbox",
] as const;

export type TracedCall = (typeof tracedCalls)[number];
/** What each call started in each of the pods, in order. */
export type StartedPrograms = Readonly<Record<TracedCall, readonly Started[]>>;

const quietMs = 200;
const longestMs = 5000;

/**
 * Runs `pods` pods on each, one after another, and counts what daemon, shims and their children start for each call.
 * What a call leaves to be done behind it (a shim started ahead for the next pod) counts as its own: after each call
 * it waits until nothing has started for 200 ms, five seconds at most.
 */
export async function startedPrograms(
  all: readonly Contender[],
  image: string,
  pods: number,
): Promise<Map<string, StartedPrograms>> {
  await using trace = await traceProcesses();
  const found = new Map<string, StartedPrograms>();
  for (const it of all) found.set(it.name, await countOf(it, image, { pods, trace }));
  return found;
}

async function countOf(
  it: Contender,
  image: string,
  { pods, trace }: { readonly pods: number; readonly trace: ProcessTrace },
): Promise<StartedPrograms> {
  const started = Object.fromEntries(
    tracedCalls.map((call) => [call, [] as Started[]]),
  ) as unknown as Record<TracedCall, Started[]>;
  const { runtime } = it.cri;
  for (let pod = -1; pod < pods; pod++) {
    trace.read();
    const lineage = lineageOf(it);
    const count = async <T>(call: TracedCall, work: () => Promise<T>): Promise<T> => {
      const answer = await work();
      await quiet(trace, lineage);
      const counted = lineage.takeStarted();
      if (pod >= 0) started[call].push(counted); // the first pod loads what later ones find loaded
      return answer;
    };
    await quiet(trace, lineage);
    lineage.takeStarted();
    const made = await count("RunPodSandbox", () => it.cri.runPod());
    const containerId = await count("CreateContainer", () =>
      it.cri.createContainer(made, image, obedient),
    );
    await count("StartContainer", () => runtime.StartContainer({ containerId }));
    await count("ExecSync", () => runtime.ExecSync({ containerId, cmd: ["true"], timeout: 10n }));
    await count("StopContainer", () => runtime.StopContainer({ containerId, timeout: 10n }));
    await count("StopPodSandbox", () => runtime.StopPodSandbox({ podSandboxId: made.id }));
    await count("RemovePodSandbox", () => runtime.RemovePodSandbox({ podSandboxId: made.id }));
  }
  return started;
}

/** Daemon, shims and all below them, thread by thread. */
function lineageOf(it: Contender): Lineage {
  const lineage = new Lineage();
  const there = processes(() => true);
  const ours = new Set([it.pid, ...shimsOf(it.socket).map(({ pid }) => pid)]);
  for (let size = 0; size !== ours.size; ) {
    size = ours.size;
    for (const { pid, ppid } of there) if (ours.has(ppid)) ours.add(pid);
  }
  for (const { pid, argv } of there) {
    if (!ours.has(pid)) continue;
    for (const tid of threadIds(pid)) lineage.add(tid, path.basename(argv[0] ?? ""));
  }
  return lineage;
}

function threadIds(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).map(Number);
  } catch {
    return []; // it has ended meanwhile
  }
}

async function quiet(trace: ProcessTrace, lineage: Lineage): Promise<void> {
  const end = performance.now() + longestMs;
  for (let idle = false; !idle && performance.now() < end; ) {
    await sleep(quietMs);
    idle = true;
    for (const event of trace.read()) if (lineage.take(event)) idle = false;
  }
}
