// SPDX-License-Identifier: Apache-2.0
import { fault } from "../../base/errors.ts";
import type { Facade, Verb } from "../facade.ts";
import { awaitAct } from "../lifecycle/acts.ts";
import { stopContainerTask } from "../task/stop-task.ts";

/** StopContainer: idempotent; no error for one that is unknown, exited or was never started. */
export function stopContainer(facade: Facade): Verb<"StopContainer"> {
  return async (request, call) => {
    const record = facade.containers.find(request.containerId);
    if (!record) return {};
    if (request.timeout < 0n) {
      throw fault("INVALID_ARGUMENT", `timeout ${request.timeout} is negative`);
    }
    using op = facade.operations.claim("StopContainer", record.id);
    await awaitAct(facade, "start", record.id, call);
    const current = facade.containers.get(record.id);
    if (current?.state.kind !== "running" && current?.state.kind !== "unknown") return {};
    const graceMs = Number(request.timeout) * 1000;
    await op.run("stop", () => stopContainerTask(facade, current, graceMs, call), graceMs);
    return {};
  };
}
