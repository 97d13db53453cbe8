// SPDX-License-Identifier: Apache-2.0
import { fault } from "../../base/errors.ts";
import { unlessAborted } from "../../base/waits.ts";
import type { LinuxContainerResources } from "../../gen/cri.gen.ts";
import { type ChangeLimitsNeeds, changeLimits, updatable } from "../container/change-limits.ts";
import type { CriParts } from "../parts.ts";
import type { Verb } from "./verb.ts";

type Needs = ChangeLimitsNeeds & Pick<CriParts, "lifetime" | "nri" | "operations">;

const updateMs = 120_000;

/**
 * UpdateContainerResources: merges what is given into the present limits, zero meaning unchanged, and
 * applies them (changeLimits), after plugins have had their say. The OOM score of a
 * running process stays. A container's updates and its start come one after the other: each begins with what
 * the one before has set. INVALID_ARGUMENT for a negative limit.
 */
export function updateContainerResources(parts: Needs): Verb<"UpdateContainerResources"> {
  return async (request, call) => {
    const { nri, operations } = parts;
    const { id } = updatable(parts, request.containerId);
    const { linux } = request;
    if (!linux) return {};
    refuseNegative(linux);
    const turn = await parts.limitTurns.verb(id, call);
    const limit = { ms: updateMs, what: `the update of container "${id}"` };
    // Once it has its turn it outlives the request.
    const update = operations.perform(
      { rpc: "UpdateContainerResources", object: id, limit, facts: { container: id } },
      { signal: parts.lifetime },
      async (op) => {
        using _turn = turn;
        const change = await nri.updates(op, updatable(parts, id), linux);
        refuseNegative(change.asked);
        await changeLimits(parts, op, id, change);
        const record = parts.containers.get(id);
        if (record) await nri.tell("PostUpdateContainer", record, op);
      },
    );
    await unlessAborted(update, call.signal);
    return {};
  };
}

/** Quota is negative for "none"; nothing else may be. */
function refuseNegative({
  memoryLimitInBytes,
  cpuShares,
  cpuPeriod,
}: LinuxContainerResources): void {
  const fields = {
    memory_limit_in_bytes: memoryLimitInBytes,
    cpu_shares: cpuShares,
    cpu_period: cpuPeriod,
  };
  for (const [field, value] of Object.entries(fields)) {
    if (value < 0n) throw fault("INVALID_ARGUMENT", `linux.${field} ${value} is negative`);
  }
}
