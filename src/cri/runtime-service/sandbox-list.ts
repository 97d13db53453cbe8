// SPDX-License-Identifier: Apache-2.0
import { EncodedMessage, KeptEncodings } from "../../rpc/encoded-message.ts";
import { messagesOf } from "../convert/chunks.ts";
import { toPodSandbox } from "../convert/sandbox.ts";
import { selectSandboxes } from "../convert/select-records.ts";
import type { CriParts } from "../parts.ts";
import type { Verb } from "./verb.ts";

type Needs = Pick<CriParts, "sandboxes">;

/** As for containers: lists come every second, and few sandboxes have changed. */
const encodings = new KeptEncodings("runtime.v1.PodSandbox", toPodSandbox);

/** ListPodSandbox: from memory; the filter's parts are ANDed, an unknown id gives an empty list. */
export function listPodSandbox({ sandboxes }: Needs): Verb<"ListPodSandbox"> {
  return ({ filter }) =>
    Promise.resolve(
      EncodedMessage.of("runtime.v1.ListPodSandboxResponse", {
        items: selectSandboxes(sandboxes, filter).map((record) => encodings.of(record)),
      }),
    );
}

/** StreamPodSandboxes: the same sandboxes, each once, in messages of a bounded size. */
export function streamPodSandboxes({ sandboxes }: Needs): Verb<"StreamPodSandboxes"> {
  return async function* ({ filter }) {
    const items = selectSandboxes(sandboxes, filter).map((record) => encodings.of(record));
    yield* messagesOf("runtime.v1.StreamPodSandboxesResponse", "podSandboxes", items);
  };
}
