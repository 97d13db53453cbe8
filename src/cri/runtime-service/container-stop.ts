// SPDX-License-Identifier: Apache-2.0
import { fault } from "../../base/errors.ts";
import type { Operation } from "../lifecycle/operation.ts";
import type { CriParts } from "../parts.ts";
import { endOfStart, type StopTaskNeeds, stopContainerTask } from "../task/stop-task.ts";
import type { Verb } from "./verb.ts";

type Needs = StopTaskNeeds & Pick<CriParts, "containers" | "operations">;

/** StopContainer: idempotent; no error for one that is unknown, exited or was never started. */
export function stopContainer(parts: Needs): Verb<"StopContainer"> {
  return async (request, call) => {
    const record = parts.containers.find(request.containerId);
    if (!record) return {};
    if (request.timeout < 0n) {
      throw fault("INVALID_ARGUMENT", `timeout ${request.timeout} is negative`);
    }
    const { id } = record;
    const graceMs = Number(request.timeout) * 1000;
    await parts.operations.perform({ rpc: "StopContainer", object: id }, call, (op) =>
      stop(parts, op, id, graceMs),
    );
    return {};
  };
}

/** What starts just now is waited for, for as long as what runs may take to end. */
async function stop(parts: Needs, op: Operation, id: string, graceMs: number): Promise<void> {
  await endOfStart(parts, id, graceMs, op);
  const current = parts.containers.get(id);
  if (current?.state.kind !== "running" && current?.state.kind !== "unknown") return;
  await op.run("stop", () => stopContainerTask(parts, current, graceMs, op), graceMs);
}
