// SPDX-License-Identifier: Apache-2.0
import { Extent, placeOf } from "./extent.ts";
import type { SendRequest } from "./messages.ts";
import type { JobOutcome, KubeJob } from "./ports.ts";

/** No job of a batch begins later: a slow API server must not have the thread taken for one that hangs. */
const batchMs = 40_000;

export interface BatchTools {
  /** Performs a job; never rejects. */
  readonly perform: (kubeconfig: string, job: KubeJob) => Promise<JobOutcome>;
  /** Called with each job's outcome as it comes, in their order. */
  readonly tell: (outcome: JobOutcome) => void;
  readonly nowMs: () => number;
}

/**
 * Performs the jobs one after the other, until all others would fail too, or it takes too long. What fails leaves the rest
 * of its namespace untried, and no other.
 */
export async function sendBatch(
  { kubeconfig, jobs }: SendRequest,
  { nowMs, perform, tell }: BatchTools,
): Promise<void> {
  const endMs = nowMs() + batchMs;
  const extent = new Extent();
  const failed = new Set<string>();
  let isOver = false;
  for (const job of jobs) {
    isOver ||= nowMs() >= endMs;
    const isUntried = isOver || failed.has(placeOf(job));
    const outcome: JobOutcome = isUntried ? { kind: "untried" } : await perform(kubeconfig, job);
    tell(outcome);
    if (outcome.kind !== "failed") continue;
    isOver ||= extent.isWhole(job, outcome.problem);
    failed.add(placeOf(job));
  }
}
