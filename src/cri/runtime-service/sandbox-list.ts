// SPDX-License-Identifier: Apache-2.0
import { sandboxState, toPodSandbox } from "../convert/sandbox.ts";
import { idMatches, labelsMatch } from "../convert/selector.ts";
import type { Facade, Verb } from "../facade.ts";

/** ListPodSandbox: from memory; the filter's parts are ANDed, an unknown id gives an empty list. */
export function listPodSandbox(facade: Facade): Verb<"ListPodSandbox"> {
  return ({ filter }) => {
    const records = [...facade.sandboxes.list()].filter(
      (record) =>
        idMatches(record.id, filter?.id) &&
        (!filter?.state || filter.state.state === sandboxState(record)) &&
        labelsMatch(record.config.labels, filter?.labelSelector),
    );
    return Promise.resolve({ items: records.map(toPodSandbox) });
  };
}
