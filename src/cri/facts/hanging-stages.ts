// SPDX-License-Identifier: Apache-2.0
import type { OperationView } from "../lifecycle/operation.ts";

/** What kubelets wait for longest, and do not take for normal, CNI of a large cluster, takes some tens of seconds. */
export const hangingMs = 60_000;
/** Work as large as an image, a container's memory, or what it wrote: each has a watch of its own over its progress. */
const largeSeconds = 600;
const largeStages: ReadonlySet<string> = new Set([
  "image",
  "checkpoint",
  "rootfs",
  "criu",
  "archive",
  "container",
]);

export interface HangingStage {
  readonly rpc: string;
  readonly stage: string;
}

/** Of operations whose stages have run for `hangingMs` beyond what they are allowed: those that are not merely large. */
export function hangingStages(overdue: readonly OperationView[]): HangingStage[] {
  return overdue.flatMap(({ rpc, stages }) =>
    stages
      .filter(({ stage, seconds }) => !largeStages.has(stage) || seconds >= largeSeconds)
      .map(({ stage }) => ({ rpc, stage })),
  );
}
