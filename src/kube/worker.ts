// SPDX-License-Identifier: Apache-2.0
import { parentPort } from "node:worker_threads";
import { KeptCredential } from "./api/kept-credential.ts";
import { type KubeClient, openKubeClient } from "./api/kube-client.ts";
import { outcomeOf } from "./api/problem.ts";
import type { SendAnswer, SendRequest } from "./messages.ts";
import { sendBatch } from "./send-batch.ts";

// The thread that speaks with the API server. It, and nothing else in the daemon, loads the Kubernetes client.

/** Nothing here ends it: the daemon ends a thread that takes too long. */
const { signal } = new AbortController();
/** As long as the thread is there: it is not in the daemon's memory beyond that. */
const kept = new KeptCredential();

parentPort?.on("message", (request: SendRequest) => {
  let client: KubeClient | undefined;
  void sendBatch(request, {
    perform: async (kubeconfig, job) => {
      try {
        client ??= await openKubeClient(kubeconfig, { signal, kept });
        await client.perform(job);
        return { kind: "done" };
      } catch (error) {
        const outcome = outcomeOf(error, job);
        if (outcome.kind === "failed" && outcome.problem.kind === "unauthorized") kept.forget();
        return outcome;
      }
    },
    tell: (outcome) => parentPort?.postMessage({ outcome } satisfies SendAnswer, []),
    nowMs: () => performance.now(),
  });
});
