// SPDX-License-Identifier: Apache-2.0
import { type RemoveNeeds, removeContainerByForce } from "../container/container-remove.ts";
import type { CriParts } from "../parts.ts";
import type { Verb } from "./verb.ts";

type Needs = RemoveNeeds & Pick<CriParts, "containers">;

/** RemoveContainer: idempotent; a running container is killed first. */
export function removeContainer(parts: Needs): Verb<"RemoveContainer"> {
  return async (request, call) => {
    const record = parts.containers.find(request.containerId);
    if (record) await removeContainerByForce(parts, record, call);
    return {};
  };
}
