// SPDX-License-Identifier: Apache-2.0
import { chunksOf } from "../convert/chunks.ts";
import { toPodSandbox } from "../convert/sandbox.ts";
import { selectSandboxes } from "../convert/select-records.ts";
import type { Facade, Verb } from "../facade.ts";

/** ListPodSandbox: from memory; the filter's parts are ANDed, an unknown id gives an empty list. */
export function listPodSandbox(facade: Facade): Verb<"ListPodSandbox"> {
  return ({ filter }) =>
    Promise.resolve({ items: selectSandboxes(facade, filter).map(toPodSandbox) });
}

/** StreamPodSandboxes: the same sandboxes, each once, in messages of a bounded size. */
export function streamPodSandboxes(facade: Facade): Verb<"StreamPodSandboxes"> {
  return async function* ({ filter }, { signal }) {
    const items = selectSandboxes(facade, filter).map(toPodSandbox);
    for (const podSandboxes of chunksOf(items, "runtime.v1.PodSandbox")) {
      signal.throwIfAborted();
      yield { podSandboxes };
    }
  };
}
