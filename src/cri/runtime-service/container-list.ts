// SPDX-License-Identifier: Apache-2.0
import { chunksOf } from "../convert/chunks.ts";
import { toContainer } from "../convert/container.ts";
import { selectContainers } from "../convert/select-records.ts";
import type { CriParts } from "../parts.ts";
import type { Verb } from "./verb.ts";

type Needs = Pick<CriParts, "containers">;

/** ListContainers: from memory; the filter's parts are ANDed, an unknown id gives an empty list. */
export function listContainers({ containers }: Needs): Verb<"ListContainers"> {
  return ({ filter }) =>
    Promise.resolve({ containers: selectContainers(containers, filter).map(toContainer) });
}

/** StreamContainers: the same containers, each once, in messages of a bounded size. */
export function streamContainers({ containers }: Needs): Verb<"StreamContainers"> {
  return async function* ({ filter }, { signal }) {
    const items = selectContainers(containers, filter).map(toContainer);
    for (const chunk of chunksOf(items, "runtime.v1.Container")) {
      signal.throwIfAborted();
      yield { containers: chunk };
    }
  };
}
