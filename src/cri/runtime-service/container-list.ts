// SPDX-License-Identifier: Apache-2.0
import { EncodedMessage, KeptEncodings } from "../../rpc/encoded-message.ts";
import { messagesOf } from "../convert/chunks.ts";
import { toContainer } from "../convert/container.ts";
import { selectContainers } from "../convert/select-records.ts";
import type { CriParts } from "../parts.ts";
import type { Verb } from "./verb.ts";

type Needs = Pick<CriParts, "containers">;

/** Most kubelets list every second, and most containers are as they were: a record that changes is another one. */
const encodings = new KeptEncodings("runtime.v1.Container", toContainer);

/** ListContainers: from memory; the filter's parts are ANDed, an unknown id gives an empty list. */
export function listContainers({ containers }: Needs): Verb<"ListContainers"> {
  return ({ filter }) =>
    Promise.resolve(
      EncodedMessage.of("runtime.v1.ListContainersResponse", {
        containers: selectContainers(containers, filter).map((record) => encodings.of(record)),
      }),
    );
}

/** StreamContainers: the same containers, each once, in messages of a bounded size. */
export function streamContainers({ containers }: Needs): Verb<"StreamContainers"> {
  return async function* ({ filter }) {
    const items = selectContainers(containers, filter).map((record) => encodings.of(record));
    yield* messagesOf("runtime.v1.StreamContainersResponse", "containers", items);
  };
}
