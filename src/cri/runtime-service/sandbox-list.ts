// SPDX-License-Identifier: Apache-2.0
import { chunksOf } from "../convert/chunks.ts";
import { toPodSandbox } from "../convert/sandbox.ts";
import { selectSandboxes } from "../convert/select-records.ts";
import type { CriParts } from "../parts.ts";
import type { Verb } from "./verb.ts";

type Needs = Pick<CriParts, "sandboxes">;

/** ListPodSandbox: from memory; the filter's parts are ANDed, an unknown id gives an empty list. */
export function listPodSandbox({ sandboxes }: Needs): Verb<"ListPodSandbox"> {
  return ({ filter }) =>
    Promise.resolve({ items: selectSandboxes(sandboxes, filter).map(toPodSandbox) });
}

/** StreamPodSandboxes: the same sandboxes, each once, in messages of a bounded size. */
export function streamPodSandboxes({ sandboxes }: Needs): Verb<"StreamPodSandboxes"> {
  return async function* ({ filter }, { signal }) {
    const items = selectSandboxes(sandboxes, filter).map(toPodSandbox);
    for (const podSandboxes of chunksOf(items, "runtime.v1.PodSandbox")) {
      signal.throwIfAborted();
      yield { podSandboxes };
    }
  };
}
