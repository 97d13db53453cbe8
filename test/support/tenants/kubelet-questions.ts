// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from "node:timers/promises";
import { isFault } from "../../../src/base/errors.ts";
import type { Cri } from "../pods.ts";

const everyMs = 1000;

/** The pod that is asked about; its container may be another one the next time. */
export interface AskedPod {
  readonly podSandboxId: string;
  readonly containerId: string;
}

/** A kubelet's questions, asked until this is disposed. */
export interface KubeletQuestions extends AsyncDisposable {
  /** What it was told that it should not have been. */
  readonly complaints: readonly string[];
}

/** What a kubelet asks all the time of a node and a pod, with a probe by exec. Failing probes are the pod's own. */
export function askAsKubelets(cri: Cri, pod: AskedPod): KubeletQuestions {
  const complaints = new Set<string>();
  const stop = new AbortController();
  const loops = [
    repeat(() => askOnce(cri, pod, complaints), everyMs, stop.signal),
    repeat(() => cri.exec(pod.containerId, ["true"], 2), everyMs, stop.signal),
  ];
  return {
    get complaints() {
      return [...complaints];
    },
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await Promise.all(loops);
    },
  };
}

/** Does it again and again, whether it fails or not; the signal ends it, and the pause it is in. */
export async function repeat(
  work: () => Promise<unknown>,
  pauseMs: number,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await work().catch(() => {});
    await sleep(pauseMs, undefined, { signal }).catch(() => {});
  }
}

/** A pod that does harm is no reason to fail any of it. */
async function askOnce(
  { runtime }: Cri,
  { podSandboxId, containerId }: AskedPod,
  complaints: Set<string>,
): Promise<void> {
  const answers = await Promise.allSettled([
    runtime.ListPodSandbox({}),
    runtime.ListContainers({}),
    runtime.ListContainerStats({}),
    runtime.ListPodSandboxStats({}),
    runtime.ListPodSandboxMetrics({}),
    runtime.PodSandboxStatus({ podSandboxId, verbose: true }),
    runtime.ContainerStatus({ containerId, verbose: true }),
    runtime.PodSandboxStats({ podSandboxId }),
    runtime.ContainerStats({ containerId }),
    runtime.Status({ verbose: true }),
  ]);
  // The daemon may be restarted meanwhile, the container be gone.
  const allowed = ["UNAVAILABLE", "CANCELLED", "NOT_FOUND"] as const;
  for (const answer of answers) {
    if (answer.status === "fulfilled") continue;
    const error: unknown = answer.reason;
    if (allowed.some((code) => isFault(error, code)) || tellsOfAnEnd(error)) continue;
    complaints.add(String(error));
  }
}

/** ContainerStats of a container whose process has ended meanwhile. */
function tellsOfAnEnd(error: unknown): boolean {
  return (
    isFault(error, "FAILED_PRECONDITION") && /is not running: it has no stats/.test(error.message)
  );
}
