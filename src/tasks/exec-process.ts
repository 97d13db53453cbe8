// SPDX-License-Identifier: Apache-2.0
import { fault } from "../base/errors.ts";
import { checkIdentifier } from "../base/identifier.ts";
import type { TasksParts, TasksVerb } from "./parts.ts";

type Needs = Pick<TasksParts, "lookup">;

/** Exec: adds a process; Start runs it. INVALID_ARGUMENT for an empty or malformed exec id. */
export function execProcess({ lookup }: Needs): TasksVerb<"Exec"> {
  return async ({ containerId, execId, stdin, stdout, stderr, terminal, spec }, call) => {
    checkIdentifier("exec id", execId);
    const task = lookup.task(containerId, call);
    if (!spec) throw fault("INVALID_ARGUMENT", `exec "${execId}" has no process spec`);
    await task.exec({ execId, io: { stdin, stdout, stderr, terminal }, spec }, call);
    return {};
  };
}

export function resizePty({ lookup }: Needs): TasksVerb<"ResizePty"> {
  return async ({ containerId, execId, width, height }, call) => {
    await lookup.task(containerId, call).resizePty({ execId, width, height }, call);
    return {};
  };
}

/** CloseIO: only stdin can be closed; without `stdin` it does nothing. */
export function closeStdin({ lookup }: Needs): TasksVerb<"CloseIO"> {
  return async ({ containerId, execId, stdin }, call) => {
    const task = lookup.task(containerId, call);
    if (stdin) await task.closeStdin(execId, call);
    return {};
  };
}
