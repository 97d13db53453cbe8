// SPDX-License-Identifier: Apache-2.0
import type { CriParts } from "../parts.ts";
import type { Verb } from "./verb.ts";

type Needs = Pick<CriParts, "events">;

/**
 * GetContainerEvents: the lives of sandboxes and containers from now on, each event with its whole pod.
 * Stays open until the client leaves or the daemon stops; a client that does not read loses the oldest.
 */
export function getContainerEvents({ events }: Needs): Verb<"GetContainerEvents"> {
  return (_request, call) => events.subscribe(call);
}
