// SPDX-License-Identifier: Apache-2.0
import os from "node:os";

const lowest = 19;
const callingThread = 0;

/**
 * How much lower the priority of a thread is than the main thread's, when tenants or images can make work for it
 * without end. A small difference, since such a thread still serves clients: against the main thread it gets a third
 * of a processor.
 */
export const servingNiceness = 5;

/**
 * Puts the calling thread behind the main one where both want a processor: on Linux niceness belongs to a thread, not
 * to the process. What the thread starts would inherit it, and without CAP_SYS_NICE nobody could undo that: shims and
 * containers are started by the main thread and the pool only.
 */
export function lowerPriority(niceness: number): void {
  os.setPriority(callingThread, Math.min(lowest, os.getPriority(callingThread) + niceness));
}
