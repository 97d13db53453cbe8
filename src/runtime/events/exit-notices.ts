// SPDX-License-Identifier: Apache-2.0
import { unpackAny } from "../../rpc/codec.ts";
import { nanosOf } from "../../rpc/timestamp.ts";
import type { ProcessExit } from "../ports.ts";
import type { ShimEventSource } from "./deletion-notices.ts";

/** Told of a task whose first process has exited. */
export type ExitListener = (namespace: string, id: string, exit: ProcessExit) => void;

/**
 * Hears from shims of the exits of tasks, also of those that nobody waits for: a shim that dies later
 * can no longer be asked.
 */
export function onTaskExit(source: ShimEventSource, listener: ExitListener): Disposable {
  return source.onForward(({ namespace, topic, event }) => {
    if (topic !== "/tasks/exit") return;
    const exited = unpackAny("containerd.events.TaskExit", event);
    // An exec's exit has that topic too, with the exec's id.
    if (exited === undefined || exited.id !== exited.containerId) return;
    const { containerId, pid, exitStatus, exitedAt } = exited;
    listener(namespace, containerId, { pid, exitStatus, exitedAtNanos: nanosOf(exitedAt) });
  });
}
