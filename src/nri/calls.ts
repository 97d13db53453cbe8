// SPDX-License-Identifier: Apache-2.0
import { fault } from "../base/errors.ts";
import type { MethodName } from "../rpc/service.ts";
import type { EventName } from "./messages.ts";

export const pluginService = "nri.pkg.api.v1alpha1.Plugin";
export const runtimeService = "nri.pkg.api.v1alpha1.Runtime";

/** What the runtime calls at a plugin. */
export type PluginCall = MethodName<typeof pluginService>;

/** Calls that plugins subscribe, with the number of their event: bit N - 1 of a mask. */
const events = {
  RunPodSandbox: 1,
  StopPodSandbox: 2,
  RemovePodSandbox: 3,
  CreateContainer: 4,
  PostCreateContainer: 5,
  StartContainer: 6,
  PostStartContainer: 7,
  UpdateContainer: 8,
  PostUpdateContainer: 9,
  StopContainer: 10,
  RemoveContainer: 11,
  UpdatePodSandbox: 12,
  PostUpdatePodSandbox: 13,
  ValidateContainerAdjustment: 14,
} as const satisfies Partial<Record<PluginCall, number>>;

export type EventCall = keyof typeof events;

const allEvents = 2 ** Object.keys(events).length - 1;

/** What a plugin has subscribed; 0 stands for everything. INVALID_ARGUMENT for bits that are no event. */
export function subscribed(mask: number): ReadonlySet<EventCall> {
  const bits = mask === 0 ? allEvents : mask;
  if ((bits & ~allEvents) !== 0) {
    throw fault(
      "INVALID_ARGUMENT",
      `subscribes events that there are not: 0x${(bits & ~allEvents).toString(16)}`,
    );
  }
  const calls = Object.entries(events).filter(([, number]) => (bits & (1 << (number - 1))) !== 0);
  return new Set(calls.map(([call]) => call as EventCall));
}

/**
 * The event that stands for a call with plugins which do not have the call itself: they get it as a StateChange. Those
 * that answer with something have none.
 */
export const stateChanges: Readonly<Partial<Record<PluginCall, EventName>>> = {
  RunPodSandbox: "RUN_POD_SANDBOX",
  PostUpdatePodSandbox: "POST_UPDATE_POD_SANDBOX",
  StopPodSandbox: "STOP_POD_SANDBOX",
  RemovePodSandbox: "REMOVE_POD_SANDBOX",
  PostCreateContainer: "POST_CREATE_CONTAINER",
  StartContainer: "START_CONTAINER",
  PostStartContainer: "POST_START_CONTAINER",
  PostUpdateContainer: "POST_UPDATE_CONTAINER",
  RemoveContainer: "REMOVE_CONTAINER",
};
