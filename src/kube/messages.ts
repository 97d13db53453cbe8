// SPDX-License-Identifier: Apache-2.0
import type { JobOutcome, KubeJob } from "./ports.ts";

/** What the thread is asked: one at a time. */
export interface SendRequest {
  readonly kubeconfig: string;
  readonly jobs: readonly KubeJob[];
}

/** One outcome a job, in their order. */
export interface SendAnswer {
  readonly outcomes: readonly JobOutcome[];
}
