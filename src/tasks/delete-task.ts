// SPDX-License-Identifier: Apache-2.0
import { fault } from "../base/errors.ts";
import type { TasksDeleteResponseInit } from "../gen/tasks.gen.ts";
import { timestampOf } from "../rpc/timestamp.ts";
import type { ProcessExit } from "../runtime/ports.ts";
import { removeRestoreFolder } from "./checkpoint-content.ts";
import type { TasksContext, TasksVerb } from "./tasks-context.ts";

/** Delete: the init process, and with it the task. FAILED_PRECONDITION while it runs. */
export function deleteTask(context: TasksContext): TasksVerb<"Delete"> {
  return async ({ containerId }, call) => {
    const task = context.lookup.task(containerId, call);
    const exit = await task.delete("", call);
    await removeRestoreFolder(context, task.namespace, task.id);
    return responseOf(containerId, exit);
  };
}

/** DeleteProcess: one exec. FAILED_PRECONDITION while it runs. */
export function deleteProcess({ lookup }: TasksContext): TasksVerb<"DeleteProcess"> {
  return async ({ containerId, execId }, call) => {
    const task = lookup.task(containerId, call);
    if (execId === "") throw fault("INVALID_ARGUMENT", "exec id must not be empty");
    return responseOf(execId, await task.delete(execId, call));
  };
}

function responseOf(id: string, exit: ProcessExit): TasksDeleteResponseInit {
  return {
    id,
    pid: exit.pid,
    exitStatus: exit.exitStatus,
    exitedAt: timestampOf(exit.exitedAtNanos),
  };
}
