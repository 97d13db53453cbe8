// SPDX-License-Identifier: Apache-2.0
import { timestampOf } from "../rpc/timestamp.ts";
import type { TasksParts, TasksVerb } from "./parts.ts";

type Needs = Pick<TasksParts, "lookup">;

/** Start: init when exec_id is empty, else that exec. */
export function startProcess({ lookup }: Needs): TasksVerb<"Start"> {
  return async ({ containerId, execId }, call) => ({
    pid: await lookup.task(containerId, call).start(execId, call),
  });
}

/** Kill: NOT_FOUND for a process that has finished. `all` is every process of the container. */
export function killProcess({ lookup }: Needs): TasksVerb<"Kill"> {
  return async ({ containerId, execId, signal, all }, call) => {
    await lookup.task(containerId, call).kill({ execId, signal, all }, call);
    return {};
  };
}

/** Wait: answers when the process has exited, at once when it already has. */
export function waitProcess({ lookup }: Needs): TasksVerb<"Wait"> {
  return async ({ containerId, execId }, call) => {
    const exit = await lookup.task(containerId, call).wait(execId, call);
    return { exitStatus: exit.exitStatus, exitedAt: timestampOf(exit.exitedAtNanos) };
  };
}
