// SPDX-License-Identifier: Apache-2.0
import { fault, isFault } from "../base/errors.ts";
import type { TasksDeleteResponseInit } from "../gen/tasks.gen.ts";
import { timestampOf } from "../rpc/timestamp.ts";
import type { ProcessExit, RuntimeTask } from "../runtime/ports.ts";
import { removeRestoreFolder } from "./checkpoint-content.ts";
import type { TasksParts, TasksVerb } from "./parts.ts";

type Needs = Pick<TasksParts, "checkpointDir" | "lookup" | "remover" | "runtime">;

/** Delete: the init process, and with it the task. FAILED_PRECONDITION while it runs. */
export function deleteTask(needs: Needs): TasksVerb<"Delete"> {
  return async ({ containerId }, call) => {
    const task = needs.lookup.task(containerId, call);
    const exit = await task.delete("", call);
    await removeOwnRestoreFolder(needs, task);
    return responseOf(containerId, exit);
  };
}

/** DeleteProcess: one exec. FAILED_PRECONDITION while it runs. */
export function deleteProcess({ lookup }: Pick<TasksParts, "lookup">): TasksVerb<"DeleteProcess"> {
  return async ({ containerId, execId }, call) => {
    const task = lookup.task(containerId, call);
    if (execId === "") throw fault("INVALID_ARGUMENT", "exec id must not be empty");
    return responseOf(execId, await task.delete(execId, call));
  };
}

/** Leaves the folder to the next task of that name where that is being created already: it is the new one's. */
async function removeOwnRestoreFolder(needs: Needs, { namespace, id }: RuntimeTask): Promise<void> {
  using place = reserveUnlessTaken(needs, namespace, id);
  if (place !== undefined) await removeRestoreFolder(needs, namespace, id);
}

function reserveUnlessTaken(
  { runtime }: Needs,
  namespace: string,
  id: string,
): Disposable | undefined {
  try {
    return runtime.reserve(namespace, id);
  } catch (error) {
    if (isFault(error, "ALREADY_EXISTS")) return undefined;
    throw error;
  }
}

function responseOf(id: string, exit: ProcessExit): TasksDeleteResponseInit {
  return {
    id,
    pid: exit.pid,
    exitStatus: exit.exitStatus,
    exitedAt: timestampOf(exit.exitedAtNanos),
  };
}
