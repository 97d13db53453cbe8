// SPDX-License-Identifier: Apache-2.0
import { chunksOf } from "../convert/chunks.ts";
import { toContainer } from "../convert/container.ts";
import { selectContainers } from "../convert/select-records.ts";
import type { Facade, Verb } from "../facade.ts";

/** ListContainers: from memory; the filter's parts are ANDed, an unknown id gives an empty list. */
export function listContainers(facade: Facade): Verb<"ListContainers"> {
  return ({ filter }) =>
    Promise.resolve({ containers: selectContainers(facade, filter).map(toContainer) });
}

/** StreamContainers: the same containers, each once, in messages of a bounded size. */
export function streamContainers(facade: Facade): Verb<"StreamContainers"> {
  return async function* ({ filter }, { signal }) {
    const items = selectContainers(facade, filter).map(toContainer);
    for (const containers of chunksOf(items, "runtime.v1.Container")) {
      signal.throwIfAborted();
      yield { containers };
    }
  };
}
