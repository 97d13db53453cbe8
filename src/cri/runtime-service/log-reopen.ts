// SPDX-License-Identifier: Apache-2.0
import { fault } from "../../base/errors.ts";
import type { CriParts } from "../parts.ts";
import { describeState } from "../store/container-record.ts";
import type { Verb } from "./verb.ts";

type Needs = Pick<CriParts, "containers" | "liveContainers" | "operations">;

/** ReopenContainerLog: after a kubelet has renamed the file; only while the container runs. */
export function reopenContainerLog(parts: Needs): Verb<"ReopenContainerLog"> {
  return async (request, call) => {
    const { id, state } = parts.containers.require(request.containerId);
    if (state.kind !== "running") {
      throw fault(
        "FAILED_PRECONDITION",
        `cannot reopen the log of container "${id}": state is ${describeState(state)}, not running`,
      );
    }
    const { log } = parts.liveContainers.of(id);
    if (!log) throw fault("UNAVAILABLE", `the log of container "${id}" was not recovered`);
    await parts.operations.perform({ rpc: "ReopenContainerLog", object: id }, call, (op) =>
      op.run("reopen", () => log.reopen(op)),
    );
    return {};
  };
}
