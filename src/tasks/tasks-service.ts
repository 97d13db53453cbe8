// SPDX-License-Identifier: Apache-2.0
import type { ContentStore } from "../content/ports.ts";
import type { Leases } from "../metadata/leases.ts";
import type { MetadataStore } from "../metadata/ports.ts";
import { containersTable } from "../metadata/records.ts";
import type { ServiceImpl } from "../rpc/service.ts";
import type { PlatformRuntime } from "../runtime/ports.ts";
import type { RemovesTrees } from "../trees/ports.ts";
import { checkpointTask } from "./checkpoint-task.ts";
import { createTask } from "./create-task.ts";
import { deleteProcess, deleteTask } from "./delete-task.ts";
import type { Deprecations } from "./deprecations.ts";
import { closeStdin, execProcess, resizePty } from "./exec-process.ts";
import { pauseTask, resumeTask, updateTask } from "./freeze-and-update.ts";
import { getProcess, listPids, listTasks } from "./inspect-tasks.ts";
import type { TasksParts, TasksServiceName } from "./parts.ts";
import { killProcess, startProcess, waitProcess } from "./run-process.ts";
import { TaskLookup } from "./task-lookup.ts";
import { taskMetrics } from "./task-metrics.ts";

export interface TasksServiceOptions {
  readonly runtime: PlatformRuntime;
  readonly metadata: MetadataStore;
  /** Where checkpoints go and come from; without one only checkpoints to a path work. */
  readonly content?: ContentStore;
  /** Whose leases hold the checkpoints that are made under them. */
  readonly leases?: Leases;
  /** Records which deprecated runtimes are used. */
  readonly deprecations?: Deprecations;
  /** Folder for a checkpoint's temporary files; made when missing. */
  readonly checkpointDir: string;
  /** Removes those files. */
  readonly remover: Pick<RemovesTrees, "remove">;
  /** How long one task may take to report its state, 2 s in containerd. */
  readonly stateTimeoutMs?: () => number;
  /** How long one task may take to report its metrics, 2 s in containerd. */
  readonly statsTimeoutMs?: number;
}

/**
 * containerd's Tasks service over a PlatformRuntime. Events about tasks come from the shims, and from
 * the runtime for a dead one; this service publishes none, or they would come twice.
 */
export function createTasksService(options: TasksServiceOptions): ServiceImpl<TasksServiceName> {
  const containers = containersTable(options.metadata);
  const context: TasksParts = {
    lookup: new TaskLookup(options.runtime, containers),
    runtime: options.runtime,
    content: options.content,
    leases: options.leases,
    deprecations: options.deprecations,
    checkpointDir: options.checkpointDir,
    remover: options.remover,
    stateTimeoutMs: options.stateTimeoutMs ?? (() => 2_000),
    statsTimeoutMs: options.statsTimeoutMs ?? 2_000,
  };
  return {
    Create: createTask(context),
    Start: startProcess(context),
    Delete: deleteTask(context),
    DeleteProcess: deleteProcess(context),
    Get: getProcess(context),
    List: listTasks(context),
    Kill: killProcess(context),
    Exec: execProcess(context),
    ResizePty: resizePty(context),
    CloseIO: closeStdin(context),
    Pause: pauseTask(context),
    Resume: resumeTask(context),
    ListPids: listPids(context),
    Checkpoint: checkpointTask(context),
    Update: updateTask(context),
    Metrics: taskMetrics(context),
    Wait: waitProcess(context),
  };
}
