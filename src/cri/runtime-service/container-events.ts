// SPDX-License-Identifier: Apache-2.0
import type { Facade, Verb } from "../facade.ts";

/**
 * GetContainerEvents: the lives of sandboxes and containers from now on, each event with its whole pod.
 * Stays open until the client leaves or the daemon stops; a client that does not read loses the oldest.
 */
export function getContainerEvents(facade: Facade): Verb<"GetContainerEvents"> {
  return (_request, call) => facade.events.subscribe(call);
}
