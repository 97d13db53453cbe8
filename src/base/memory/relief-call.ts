// SPDX-License-Identifier: Apache-2.0
import { getEnvironmentData, isMainThread, setEnvironmentData } from "node:worker_threads";

const environmentKey = "berth.relief-calls";
const calls = new Int32Array(sharedMemory());

/** Asks all threads of the process to collect their garbage at their next look. */
export function callForRelief(): void {
  Atomics.add(calls, 0, 1);
}

/** How often that has been asked for: another number than at the last look means now. */
export function reliefCalls(): number {
  return Atomics.load(calls, 0);
}

/** Of threads that were started before this module was loaded, none is asked. */
function sharedMemory(): SharedArrayBuffer {
  const known = getEnvironmentData(environmentKey);
  if (known instanceof SharedArrayBuffer) return known;
  const made = new SharedArrayBuffer(4);
  if (isMainThread) setEnvironmentData(environmentKey, made);
  return made;
}
