// SPDX-License-Identifier: Apache-2.0
import v8 from "node:v8";
import type { ResourceLimits } from "node:worker_threads";
import { keepYoungOfThreadsSmall } from "./young-heap.ts";

/** A thread's young objects; keepYoungOfThreadsSmall allows each less still. */
const youngMiB = 4;
let isForgotten = false;

/**
 * Limits of a thread's heap, for `new Worker`. A thread that goes beyond them ends with
 * ERR_WORKER_OUT_OF_MEMORY; without any it could fill the daemon's memory alone.
 */
export function threadHeap(oldMiB: number): ResourceLimits {
  forgetMainLimit();
  return { maxOldGenerationSizeMb: oldMiB, maxYoungGenerationSizeMb: youngMiB };
}

/**
 * bin/berthd limits the main heap by --max-old-space-size, which V8 would set above the limits of each
 * thread's own heap. It reads the flag when it makes a heap, so ours keeps its limit.
 */
function forgetMainLimit(): void {
  if (isForgotten) return;
  isForgotten = true;
  v8.setFlagsFromString("--max-old-space-size=0");
  keepYoungOfThreadsSmall();
}
