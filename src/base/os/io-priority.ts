// SPDX-License-Identifier: Apache-2.0
import { libc } from "./libc.ts";

const cSyscall = libc("long syscall(long number, int which, int who, int priority)");

const callingThread = 0;
const whoProcess = 1;
const bestEffort = 2;
const lowest = 7;

/**
 * Puts this thread's reads and writes behind those of others, where the block device's scheduler has priorities. Not
 * "idle": on a busy disk it would never get a turn.
 */
export function lowerIoPriority(): void {
  const number = process.arch === "arm64" ? 30 : 251; // ioprio_set
  cSyscall(number, whoProcess, callingThread, (bestEffort << 13) | lowest);
}
