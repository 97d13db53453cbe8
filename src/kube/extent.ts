// SPDX-License-Identifier: Apache-2.0
import type { KubeJob, Problem, ProblemKind } from "./ports.ts";

const ofAll: ReadonlySet<ProblemKind> = new Set([
  "kubeconfig",
  "unreachable",
  "unauthorized",
  "thread",
]);

/** Whether it would be the same with all jobs: none has come to where they differ. */
export function concernsAll({ kind }: Problem): boolean {
  return ofAll.has(kind);
}

/** Where a job is done. What a namespace brings with it, quotas and webhooks say, must hold up no other. */
export function placeOf(job: KubeJob): string {
  return job.kind === "condition" ? "" : job.namespace;
}

/** How far a failure goes: what fails in the same way in two places is taken to be the API server. */
export class Extent {
  readonly #places = new Map<ProblemKind, Set<string>>();

  /** After one more failure: whether to ask for nothing more now. */
  isWhole(job: KubeJob, problem: Problem): boolean {
    if (concernsAll(problem)) return true;
    // Rights may differ from one place to the next, however many lack them.
    if (problem.kind === "forbidden") return false;
    const places = this.#places.get(problem.kind) ?? new Set();
    this.#places.set(problem.kind, places.add(placeOf(job)));
    return places.size > 1;
  }
}
