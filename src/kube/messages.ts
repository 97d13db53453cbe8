// SPDX-License-Identifier: Apache-2.0
import type { JobOutcome, KubeJob } from "./ports.ts";

/** What the thread is asked: one at a time. */
export interface SendRequest {
  readonly kubeconfig: string;
  readonly jobs: readonly KubeJob[];
}

/** What became of the next of its jobs: one message each, as it comes. */
export interface SendAnswer {
  readonly outcome: JobOutcome;
}
