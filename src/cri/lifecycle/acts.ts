// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { isFault } from "../../base/errors.ts";
import type { Facade } from "../facade.ts";

/** What is done to a container or sandbox at most once at a time. */
export type Act = "start" | "stop" | "remove";

/** Runs the act, or joins the one that runs; it outlives the request that began it. */
export function act(
  facade: Facade,
  verb: Act,
  id: string,
  work: (own: Cancellable) => Promise<void>,
  call: Cancellable,
): Promise<void> {
  return facade.acts.run(`${verb}/${id}`, work, call);
}

/** Waits for the act to end, well or not, if it runs. Rejects only when the call is over. */
export async function awaitAct(
  facade: Facade,
  verb: Act,
  id: string,
  call: Cancellable,
): Promise<void> {
  if (!facade.acts.isRunning(`${verb}/${id}`)) return;
  try {
    await act(facade, verb, id, () => Promise.resolve(), call);
  } catch (error) {
    if (call.signal.aborted && !isFault(error)) throw error;
  }
}
