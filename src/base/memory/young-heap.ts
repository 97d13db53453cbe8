// SPDX-License-Identifier: Apache-2.0
import v8 from "node:v8";
import { giveBackOwn } from "./give-back.ts";

/** What a thread that serves needs; the same is bin/berthd's limit where memory is short. */
const usualMiB = 1;

/**
 * Of heaps that are made from now on, those of threads, less is kept for young objects than of the main one's: bin/berthd
 * gives that one more, for the start. V8 reads the flag when it makes a heap.
 */
export function keepYoungOfThreadsSmall(): void {
  v8.setFlagsFromString(`--max-semi-space-size=${usualMiB}`);
}

/**
 * Ends what the start had for young objects: all garbage is collected, by which V8 takes the space for them to its least,
 * and it grows no more than once from there. Takes a tenth of a second.
 */
export function endYoungOfStart(): void {
  v8.setFlagsFromString("--semi-space-growth-factor=1");
  giveBackOwn();
}
