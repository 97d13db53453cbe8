// SPDX-License-Identifier: Apache-2.0
import { containerState, toContainer } from "../convert/container.ts";
import { idMatches, labelsMatch } from "../convert/selector.ts";
import type { Facade, Verb } from "../facade.ts";

/** ListContainers: from memory; the filter's parts are ANDed, an unknown id gives an empty list. */
export function listContainers(facade: Facade): Verb<"ListContainers"> {
  return ({ filter }) => {
    const records = [...facade.containers.list()].filter(
      (record) =>
        idMatches(record.id, filter?.id) &&
        idMatches(record.sandboxId, filter?.podSandboxId) &&
        (!filter?.state || filter.state.state === containerState(record)) &&
        labelsMatch(record.config.labels, filter?.labelSelector),
    );
    return Promise.resolve({ containers: records.map(toContainer) });
  };
}
