// SPDX-License-Identifier: Apache-2.0
import { ioClasses, schedulerFlags, schedulerPolicies } from "../../nri/merge/check-scheduling.ts";
import type { LinuxContainerInit } from "../../nri/messages.ts";
import type { OciProcess } from "../../oci/spec.ts";

/**
 * A process's priorities, as plugins know them. A name that NRI does not have, as an operator plugin may have set, is left
 * out: the policy or class is then NONE.
 */
export function schedulingMessage({
  ioPriority,
  scheduler,
}: Pick<OciProcess, "ioPriority" | "scheduler">): Pick<
  LinuxContainerInit,
  "ioPriority" | "scheduler"
> {
  return {
    ioPriority: ioPriority && {
      class: named(ioPriority.class, ioClasses),
      priority: ioPriority.priority,
    },
    scheduler: scheduler && {
      ...scheduler,
      policy: named(scheduler.policy, schedulerPolicies),
      flags: scheduler.flags?.flatMap((flag) => named(flag, schedulerFlags) ?? []),
    },
  };
}

function named<T extends string>(name: string, names: ReadonlySet<T>): T | undefined {
  return [...names].find((known) => known === name);
}
