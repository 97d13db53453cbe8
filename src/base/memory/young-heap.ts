// SPDX-License-Identifier: Apache-2.0
import v8 from "node:v8";
import { giveBackOwn } from "./give-back.ts";

/** What a thread needs; the same is bin/berthd's limit where memory is short. */
const usualMiB = 1;
const usualFlag = `--max-semi-space-size=${usualMiB}`;
const leastFlag = `--min-semi-space-size=${usualMiB}`;

/**
 * Of heaps that are made from now on, those of threads, less is kept for young objects than of the main one's: bin/berthd
 * gives that one more, for the start. V8 reads the flag when it makes a heap.
 */
export function keepYoungOfThreadsSmall(): void {
  v8.setFlagsFromString(usualFlag);
  v8.setFlagsFromString(leastFlag);
}

/**
 * Ends what the start had for young objects: all garbage is collected, by which V8 takes the space for them to its least, which
 * is what bin/berthd has it begin with, and it grows no more from there. Takes a tenth of a second. Where memory is short the start had no more than usual,
 * and nothing is done.
 */
export function endYoungOfStart(): void {
  if (process.execArgv.includes(usualFlag)) return;
  v8.setFlagsFromString("--semi-space-growth-factor=1");
  giveBackOwn();
}
