// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { deadline } from "../../base/deadline.ts";
import { nowNanos } from "../../base/now.ts";
import { unlessAborted } from "../../base/waits.ts";
import type { Container, Task } from "../../client/ports.ts";
import { removeRemains } from "../container/container-remove.ts";
import { watchContainer } from "../container/exit-monitor.ts";
import { logOptionsOf } from "../container/log-options.ts";
import type { Facade } from "../facade.ts";
import {
  becomeCreated,
  becomeExited,
  becomeRunning,
  type ContainerRecord,
} from "../store/container-record.ts";
import { absentAsUndefined, endTask } from "../task/purge-task.ts";

const salvageMs = 2_000;

/**
 * Brings one container back:
 *
 * | record   | runtime            | result                                              |
 * |----------|--------------------|-----------------------------------------------------|
 * | created  | no container       | never answered: removed                             |
 * | created  | no task            | created                                             |
 * | any      | task not started   | its start was cut off: created again, for a retry   |
 * | created  | task runs or ran   | running; its monitor finds the exit, if there is one |
 * | running  | task runs or ran   | running; likewise                                   |
 * | running  | no task            | exited 255, reason Unknown                          |
 * | exited   | a task             | the task is deleted                                 |
 */
export async function recoverContainer(
  facade: Facade,
  record: ContainerRecord,
  call: Cancellable,
): Promise<void> {
  const { client } = facade.ports;
  const { id, state } = record;
  const container = await absentAsUndefined(() => client.loadContainer(id, call));
  if (container) facade.live.of(id).container = container;
  if (!container && state.kind === "created") {
    await removeRemains(facade, id, call);
    return facade.containers.delete(id);
  }
  const task = container && (await absentAsUndefined(() => container.task(call)));
  if (state.kind === "exited") return task && endTask(task, call);
  if (container && task) return recoverTask(facade, record, container, task, call);
  if (state.kind !== "created") {
    await salvageLog(facade, record, call);
    await recordLoss(facade, id, 255, "Unknown", "its task was gone when the daemon started");
  }
}

async function recoverTask(
  facade: Facade,
  record: ContainerRecord,
  container: Container,
  found: Task,
  call: Cancellable,
): Promise<void> {
  const { id } = record;
  const { state } = await found.status(call);
  if (state === "created") {
    await endTask(found, call);
    await facade.containers.update(id, becomeCreated);
    return;
  }
  const task = await withLog(facade, record, container, state === "stopped", call);
  if (record.state.kind === "created") {
    const running = { pid: task.pid, startedAtNanos: nowNanos() };
    await facade.containers.update(id, (current) => becomeRunning(current, running));
  }
  const oom = await facade.ports.oom.watch(record.cgroupsPath);
  watchContainer(facade, id, task, await task.wait({ signal: facade.lifetime }), oom);
  // Nobody shall see an ended container run, not even for the moment that its monitor takes.
  if (state === "stopped")
    await unlessAborted(facade.live.of(id).exited ?? Promise.resolve(), call.signal);
}

/** The task with its log taken up again. A log that cannot be is no reason to lose the container. */
async function withLog(
  facade: Facade,
  record: ContainerRecord,
  container: Container,
  stopped: boolean,
  call: Cancellable,
): Promise<Task> {
  const { logs, log } = facade.ports;
  const { id } = record;
  try {
    return await container.task(call, async (io) => {
      const resumed = await logs.resume({ ...logOptionsOf(record), config: io, stopped }, call);
      facade.live.of(id).log = resumed;
      return resumed;
    });
  } catch (error) {
    log.error({ err: error, container: id }, "log could not be taken up again");
    return container.task(call);
  }
}

/** What a container wrote before it went with its shim. */
async function salvageLog(
  facade: Facade,
  record: ContainerRecord,
  { signal }: Cancellable,
): Promise<void> {
  const { logs, log } = facade.ports;
  using limit = deadline(salvageMs, "salvaging the log", signal);
  try {
    await logs.salvage(logOptionsOf(record), limit);
  } catch (err) {
    log.warn({ err, container: record.id }, "the end of a log could not be salvaged");
  }
}

async function recordLoss(
  facade: Facade,
  id: string,
  exitCode: number,
  reason: string,
  message: string,
): Promise<void> {
  const finishedAtNanos = nowNanos();
  await facade.containers.update(id, (current) =>
    becomeExited(current, { exitCode, finishedAtNanos, reason, message }),
  );
}
