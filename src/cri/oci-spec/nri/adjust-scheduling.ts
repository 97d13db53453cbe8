// SPDX-License-Identifier: Apache-2.0
import { unsupported } from "../../../base/invalid-field.ts";
import type { LinuxContainerAdjustment, LinuxScheduler } from "../../../nri/messages.ts";
import { ociInteger } from "../../../oci/encode-spec.ts";
import type { OciScheduler, OciSpec } from "../../../oci/spec.ts";
import type { RuntimeFeatures } from "../ports.ts";

/**
 * Sets priorities and the memory policy. FAILED_PRECONDITION for what the OCI runtime would leave out without a word; a
 * class or policy NONE clears the field, which each runtime can.
 */
export function adjustScheduling(
  { process, linux }: OciSpec,
  { ioPriority, scheduler, memoryPolicy }: LinuxContainerAdjustment,
  features: Pick<RuntimeFeatures, "scheduling" | "memoryPolicies">,
): void {
  const need = (isKnown: boolean, field: string): void => {
    if (!isKnown) throw unsupported(`adjust.linux.${field}`, "the OCI runtime does not know it");
  };
  if (ioPriority?.class === "IOPRIO_CLASS_NONE") delete process.ioPriority;
  else if (ioPriority) {
    need(features.scheduling, "io_priority");
    process.ioPriority = { class: ioPriority.class, priority: ioPriority.priority };
  }
  if (scheduler?.policy === "SCHED_NONE") delete process.scheduler;
  else if (scheduler) {
    need(features.scheduling, "scheduler");
    process.scheduler = toScheduler(scheduler);
  }
  if (memoryPolicy) {
    const { mode, nodes, flags } = memoryPolicy;
    need(features.memoryPolicies.includes(mode), `memory_policy.mode (${mode})`);
    linux.memoryPolicy = {
      mode,
      ...(nodes !== "" && { nodes }),
      ...(flags.length > 0 && { flags: [...flags] }),
    };
  }
}

function toScheduler(wanted: LinuxScheduler): OciScheduler {
  const { policy, nice, priority, flags, runtime, deadline, period } = wanted;
  return {
    policy,
    ...(nice !== 0 && { nice }),
    ...(priority !== 0 && { priority }),
    ...(flags.length > 0 && { flags: [...flags] }),
    ...(runtime !== 0n && { runtime: ociInteger(runtime) }),
    ...(deadline !== 0n && { deadline: ociInteger(deadline) }),
    ...(period !== 0n && { period: ociInteger(period) }),
  };
}
