// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";

/** What a thread had of the processors so far, in milliseconds. */
export interface ProcessorTime {
  readonly ran: number;
  /** It could have run, and others did. */
  readonly waited: number;
}

/** What came in between. */
export function timeBetween(before: ProcessorTime, after: ProcessorTime): ProcessorTime {
  return { ran: after.ran - before.ran, waited: after.waited - before.waited };
}

/** Of a process' main thread (proc(5): schedstat). */
export function processorTime(pid: number): ProcessorTime {
  const [ran = Number.NaN, waited = Number.NaN] = readFileSync(
    `/proc/${pid}/task/${pid}/schedstat`,
    "utf8",
  )
    .split(" ")
    .map((nanoseconds) => Number(nanoseconds) / 1e6);
  return { ran, waited };
}
