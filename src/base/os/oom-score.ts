// SPDX-License-Identifier: Apache-2.0
import { readFileSync, writeFileSync } from "node:fs";

const capSysResource = 24n;

let mayLower: boolean | undefined;

/**
 * The lowest oom_score_adj that we and our children may set: without CAP_SYS_RESOURCE the kernel refuses one below
 * our own, and runc fails then. -1000 with the capability.
 */
export function oomScoreFloor(): number {
  mayLower ??= hasCapability(capSysResource);
  return mayLower ? -1000 : oomScoreOf("self");
}

/** oom_score_adj of a process. Throws when it is gone. */
export function oomScoreOf(pid: number | "self"): number {
  return Number(readFileSync(`/proc/${pid}/oom_score_adj`, "utf8"));
}

/** Raises a process's oom_score_adj to at least `score`; false when it is gone or we may not. */
export function raiseOomScore(pid: number, score: number): boolean {
  try {
    if (oomScoreOf(pid) < score) writeFileSync(`/proc/${pid}/oom_score_adj`, String(score));
    return true;
  } catch {
    return false;
  }
}

function hasCapability(bit: bigint): boolean {
  const status = readFileSync("/proc/self/status", "utf8");
  const effective = /^CapEff:\s*([0-9a-f]+)/m.exec(status)?.[1];
  return effective !== undefined && ((BigInt(`0x${effective}`) >> bit) & 1n) === 1n;
}
