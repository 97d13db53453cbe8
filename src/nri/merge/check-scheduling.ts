// SPDX-License-Identifier: Apache-2.0
import type {
  LinuxContainerAdjustment,
  LinuxIOPriority,
  LinuxMemoryPolicy,
  LinuxScheduler,
} from "../messages.ts";
import { badAnswer } from "./bad-answer.ts";
import { listPattern } from "./check-resources.ts";

// Decoding leaves a number that a message's enum lacks as it is.
export const ioClasses = known<LinuxIOPriority["class"]>({
  IOPRIO_CLASS_NONE: true,
  IOPRIO_CLASS_RT: true,
  IOPRIO_CLASS_BE: true,
  IOPRIO_CLASS_IDLE: true,
});
export const schedulerPolicies = known<LinuxScheduler["policy"]>({
  SCHED_NONE: true,
  SCHED_OTHER: true,
  SCHED_FIFO: true,
  SCHED_RR: true,
  SCHED_BATCH: true,
  SCHED_ISO: true,
  SCHED_IDLE: true,
  SCHED_DEADLINE: true,
});
export const schedulerFlags = known<LinuxScheduler["flags"][number]>({
  SCHED_FLAG_RESET_ON_FORK: true,
  SCHED_FLAG_RECLAIM: true,
  SCHED_FLAG_DL_OVERRUN: true,
  SCHED_FLAG_KEEP_POLICY: true,
  SCHED_FLAG_KEEP_PARAMS: true,
  SCHED_FLAG_UTIL_CLAMP_MIN: true,
  SCHED_FLAG_UTIL_CLAMP_MAX: true,
});
const memoryModes = known<LinuxMemoryPolicy["mode"]>({
  MPOL_DEFAULT: true,
  MPOL_PREFERRED: true,
  MPOL_BIND: true,
  MPOL_INTERLEAVE: true,
  MPOL_LOCAL: true,
  MPOL_PREFERRED_MANY: true,
  MPOL_WEIGHTED_INTERLEAVE: true,
});
const memoryFlags = known<LinuxMemoryPolicy["flags"][number]>({
  MPOL_F_STATIC_NODES: true,
  MPOL_F_RELATIVE_NODES: true,
  MPOL_F_NUMA_BALANCING: true,
});

/** FAILED_PRECONDITION for priorities and policies that the kernel does not have. */
export function checkScheduling(
  plugin: string,
  { ioPriority, scheduler, memoryPolicy }: LinuxContainerAdjustment,
): void {
  const check = (isGood: boolean, at: string, problem: string): void => {
    if (!isGood) throw badAnswer(plugin, `adjust.linux.${at}`, problem);
  };
  if (ioPriority !== null) {
    const { class: kind, priority } = ioPriority;
    check(ioClasses.has(kind), "io_priority.class", unknown(kind));
    const isLevel = priority >= 0 && priority <= 7;
    check(isLevel, "io_priority.priority", `${priority} is outside 0..7`);
  }
  if (scheduler !== null) {
    const { policy, nice, priority, flags } = scheduler;
    check(schedulerPolicies.has(policy), "scheduler.policy", unknown(policy));
    check(nice >= -20 && nice <= 19, "scheduler.nice", `${nice} is outside -20..19`);
    const isLevel = priority >= 0 && priority <= 99;
    check(isLevel, "scheduler.priority", `${priority} is outside 0..99`);
    for (const flag of flags) check(schedulerFlags.has(flag), "scheduler.flags", unknown(flag));
  }
  if (memoryPolicy !== null) {
    const { mode, nodes, flags } = memoryPolicy;
    check(memoryModes.has(mode), "memory_policy.mode", unknown(mode));
    const isList = nodes === "" || listPattern.test(nodes);
    check(isList, "memory_policy.nodes", `"${nodes}" is no list such as 0-2,5`);
    for (const flag of flags) check(memoryFlags.has(flag), "memory_policy.flags", unknown(flag));
  }
}

function unknown(value: string): string {
  return `unknown value ${value}`;
}

/** The values of an enum, complete by its type. */
function known<T extends string>(values: Readonly<Record<T, true>>): ReadonlySet<T> {
  return new Set(Object.keys(values) as T[]);
}
