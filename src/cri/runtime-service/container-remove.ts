// SPDX-License-Identifier: Apache-2.0
import { removeContainerByForce } from "../container/container-remove.ts";
import type { Facade, Verb } from "../facade.ts";

/** RemoveContainer: idempotent; a running container is killed first. */
export function removeContainer(facade: Facade): Verb<"RemoveContainer"> {
  return async (request, call) => {
    const record = facade.containers.find(request.containerId);
    if (record) await removeContainerByForce(facade, record, call);
    return {};
  };
}
