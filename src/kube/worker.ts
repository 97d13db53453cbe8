// SPDX-License-Identifier: Apache-2.0
import { parentPort } from "node:worker_threads";
import { type KubeClient, openKubeClient } from "./api/kube-client.ts";
import { outcomeOf } from "./api/problem.ts";
import type { SendAnswer, SendRequest } from "./messages.ts";
import type { JobOutcome } from "./ports.ts";

// The thread that speaks with the API server. It, and nothing else in the daemon, loads the Kubernetes client.

/** Nothing here ends it: the daemon ends a thread that takes too long. */
const { signal } = new AbortController();

parentPort?.on("message", (request: SendRequest) => {
  void send(request).then((outcomes) => {
    parentPort?.postMessage({ outcomes } satisfies SendAnswer, []);
  });
});

async function send({ kubeconfig, jobs }: SendRequest): Promise<readonly JobOutcome[]> {
  const outcomes: JobOutcome[] = [];
  let client: KubeClient | undefined;
  for (const job of jobs) {
    try {
      client ??= await openKubeClient(kubeconfig, { signal });
      await client.perform(job);
      outcomes.push({ kind: "done" });
    } catch (error) {
      const outcome = outcomeOf(error);
      outcomes.push(outcome);
      if (outcome.kind === "failed" && concernsAll(outcome.problem.kind)) break;
    }
  }
  while (outcomes.length < jobs.length) outcomes.push({ kind: "untried" });
  return outcomes;
}

/** Rights may differ from one job to the next. */
function concernsAll(kind: string): boolean {
  return kind !== "forbidden";
}
