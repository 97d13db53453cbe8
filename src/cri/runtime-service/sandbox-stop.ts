// SPDX-License-Identifier: Apache-2.0
import { type TakeDownNeeds, takeDownSandbox } from "../sandbox/sandbox-take-down.ts";
import type { Verb } from "./verb.ts";

type Needs = TakeDownNeeds;

/** Whatever hangs, the operation ends, and the kubelet's next one starts anew. */
const stopMs = 120_000;

/** StopPodSandbox: idempotent; no error for one that is unknown. */
export function stopPodSandbox(parts: Needs): Verb<"StopPodSandbox"> {
  return async (request, call) => {
    const record = parts.sandboxes.find(request.podSandboxId);
    if (!record) return {};
    const { id } = record;
    await parts.operations.perform(
      {
        rpc: "StopPodSandbox",
        object: id,
        joins: true,
        limit: { ms: stopMs, what: `stopping sandbox "${id}"` },
      },
      call,
      (op) => takeDownSandbox(parts, op, id),
    );
    return {};
  };
}
