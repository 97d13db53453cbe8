// SPDX-License-Identifier: Apache-2.0

import { deadline } from "../../base/deadline.ts";
import type { Facade, Verb } from "../facade.ts";
import { act } from "../lifecycle/acts.ts";
import { takeDownSandbox } from "../sandbox/sandbox-take-down.ts";

/** Whatever hangs, the act ends, and the kubelet's next one starts anew. */
const stopMs = 120_000;

/** StopPodSandbox: idempotent; no error for one that is unknown. */
export function stopPodSandbox(facade: Facade): Verb<"StopPodSandbox"> {
  return async (request, call) => {
    const record = facade.sandboxes.find(request.podSandboxId);
    if (!record) return {};
    const stop = async (own: { signal: AbortSignal }): Promise<void> => {
      using limit = deadline(stopMs, `stopping sandbox "${record.id}"`, own.signal);
      using op = facade.operations.claim("StopPodSandbox", record.id);
      await takeDownSandbox(facade, op, record.id, limit);
    };
    await act(facade, "stop", record.id, stop, call);
    return {};
  };
}
