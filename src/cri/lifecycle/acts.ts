// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import type { Facade } from "../facade.ts";

const rpcs = {
  start: "StartContainer",
  stop: "StopPodSandbox",
  remove: "RemoveContainer",
} as const;

/** What is done to a container or sandbox at most once at a time. */
export type Act = keyof typeof rpcs;

/** Runs the act, or joins the one that runs; it outlives the request that began it. */
export function act(
  { operations }: Pick<Facade, "operations">,
  verb: Act,
  id: string,
  work: (own: Cancellable) => Promise<void>,
  call: Cancellable,
): Promise<void> {
  return operations.join(rpcs[verb], id, work, call);
}

/** Waits for the act to end, well or not, if it runs. Rejects only when the call is over. */
export function awaitAct(
  { operations }: Pick<Facade, "operations">,
  verb: Act,
  id: string,
  call: Cancellable,
): Promise<void> {
  return operations.ended(rpcs[verb], id, call);
}
