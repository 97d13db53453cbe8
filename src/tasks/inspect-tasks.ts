// SPDX-License-Identifier: Apache-2.0

import { timeLimit } from "../base/deadline.ts";
import { isFault } from "../base/errors.ts";
import type { TaskTypesProcessInit } from "../gen/tasks.gen.ts";
import { requiredNamespace } from "../rpc/required-namespace.ts";
import type { CallContext } from "../rpc/service.ts";
import { timestampOf } from "../rpc/timestamp.ts";
import type { ProcessState, RuntimeTask } from "../runtime/ports.ts";
import type { TasksParts, TasksVerb } from "./parts.ts";

/** Get: one process. When its shim does not answer in time its status is UNKNOWN; that is no error. */
export function getProcess({
  lookup,
  stateTimeoutMs,
}: Pick<TasksParts, "lookup" | "stateTimeoutMs">): TasksVerb<"Get"> {
  return async ({ containerId, execId }, call) => {
    const task = lookup.task(containerId, call);
    return { process: await processOf(task, execId, call, stateTimeoutMs()) };
  };
}

/** List: the init processes of a namespace. One that cannot be reached is left out, never an error. */
export function listTasks({
  runtime,
  stateTimeoutMs,
}: Pick<TasksParts, "runtime" | "stateTimeoutMs">): TasksVerb<"List"> {
  return async (_request, call) => {
    const tasks = runtime.list(requiredNamespace(call));
    const answers = await Promise.allSettled(
      tasks.map((task) => processOf(task, "", call, stateTimeoutMs())),
    );
    call.signal.throwIfAborted();
    return { tasks: answers.flatMap((one) => (one.status === "fulfilled" ? [one.value] : [])) };
  };
}

/** ListPids: all processes in the task's cgroup, with the exec each belongs to where that is known. */
export function listPids({ lookup }: Pick<TasksParts, "lookup">): TasksVerb<"ListPids"> {
  return async ({ containerId }, call) => ({
    processes: await lookup.task(containerId, call).pids(call),
  });
}

async function processOf(
  task: RuntimeTask,
  execId: string,
  call: CallContext,
  timeoutMs: number,
): Promise<TaskTypesProcessInit> {
  using limit = timeLimit(timeoutMs, call.signal);
  try {
    return processInit(task, await task.state(execId, limit));
  } catch (error) {
    call.signal.throwIfAborted();
    if (isFault(error, "NOT_FOUND", "UNAVAILABLE")) throw error;
    // Of init the pid is known whatever its shim says; without one it would pass for a task that was never started.
    const known = execId === "" ? { pid: task.pid } : {};
    return { containerId: task.id, id: execId || task.id, ...known, status: "UNKNOWN" };
  }
}

function processInit(task: RuntimeTask, state: ProcessState): TaskTypesProcessInit {
  return {
    containerId: task.id,
    id: state.execId || state.id,
    pid: state.pid,
    status: state.status,
    ...state.io,
    exitStatus: state.exitStatus,
    exitedAt: timestampOf(state.exitedAtNanos),
  };
}
