// SPDX-License-Identifier: Apache-2.0
import os from "node:os";

const lowest = 19;
const callingThread = 0;

/**
 * How much lower than the main thread's the priority of a thread is whose work a tenant or an image can make without
 * end. Small, since such a thread still serves somebody: against the main thread it gets a third of a processor.
 */
export const servingNiceness = 5;

/**
 * Has the calling thread come after the main one where both want a processor: on Linux a niceness is a thread's, not
 * the process's. What the thread starts would inherit it, and nobody without CAP_SYS_NICE could give it back: shims
 * and containers are started by the main thread and the pool only.
 */
export function lowerPriority(niceness: number): void {
  os.setPriority(callingThread, Math.min(lowest, os.getPriority(callingThread) + niceness));
}
