// SPDX-License-Identifier: Apache-2.0
import { fault } from "../../base/errors.ts";
import type { Facade, Verb } from "../facade.ts";
import { describeState } from "../store/container-record.ts";

/** ReopenContainerLog: after a kubelet has renamed the file; only while the container runs. */
export function reopenContainerLog(facade: Facade): Verb<"ReopenContainerLog"> {
  return async (request, call) => {
    const { id, state } = facade.containers.require(request.containerId);
    if (state.kind !== "running") {
      throw fault(
        "FAILED_PRECONDITION",
        `cannot reopen the log of container "${id}": state is ${describeState(state)}, not running`,
      );
    }
    const { log } = facade.liveContainers.of(id);
    if (!log) throw fault("UNAVAILABLE", `the log of container "${id}" was not recovered`);
    using op = facade.operations.claim("ReopenContainerLog", id);
    await op.run("reopen", () => log.reopen(call));
    return {};
  };
}
