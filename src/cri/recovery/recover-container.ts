// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { fault } from "../../base/errors.ts";
import { nowNanos } from "../../base/now.ts";
import { turnLimit } from "../../base/turn-limit.ts";
import { unlessAborted } from "../../base/waits.ts";
import type { FoundTask, Task } from "../../client/ports.ts";
import { type RemainsNeeds, removeRemains } from "../container/container-remove.ts";
import { type WatchContainerNeeds, watchContainer } from "../container/exit-monitor.ts";
import { logOptionsOf } from "../container/log-options.ts";
import type { CriParts } from "../parts.ts";
import {
  becomeCreated,
  becomeExited,
  becomeRunning,
  type ContainerRecord,
} from "../store/container-record.ts";
import { absentAsUndefined, endTask } from "../task/purge-task.ts";

export type RecoverContainerNeeds = WatchContainerNeeds &
  RemainsNeeds &
  Pick<CriParts, "logs" | "oom">;

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
  parts: RecoverContainerNeeds,
  record: ContainerRecord,
  call: Cancellable,
): Promise<void> {
  const { client } = parts;
  const { id, state } = record;
  const container = await absentAsUndefined(() => client.loadContainer(id, call));
  if (container) parts.liveContainers.of(id).keep(container);
  if (!container && state.kind === "created") {
    await removeRemains(parts, id, call);
    return parts.containers.delete(id);
  }
  const found = container && (await absentAsUndefined(() => container.found(call)));
  if (state.kind === "exited") {
    await parts.liveContainers.of(id).toldOnce("stopped", async () => {}); // by the daemon that saw it end
    return found && endTask(found.task, call);
  }
  if (found) return recoverTask(parts, record, found, call);
  if (state.kind !== "created") {
    await salvageLog(parts, record, call);
    await recordLoss(parts, id);
  }
}

async function recoverTask(
  parts: RecoverContainerNeeds,
  record: ContainerRecord,
  found: FoundTask,
  call: Cancellable,
): Promise<void> {
  const { id } = record;
  const { state } = found.status;
  if (state === "created") {
    await endTask(found.task, call);
    await parts.containers.update(id, becomeCreated);
    return;
  }
  const task = await withLog(parts, record, found, call);
  if (record.state.kind === "created") {
    const running = { pid: task.pid, startedAtNanos: nowNanos() };
    await parts.containers.update(id, (current) => becomeRunning(current, running));
  }
  const oom = await parts.oom.watch(record.cgroupsPath, call);
  const exit = await task.wait({ signal: parts.lifetime });
  watchContainer(parts, id, { task, exit, oom });
  // Nobody shall see an ended container run, not even for the moment that its monitor takes.
  if (state === "stopped")
    await unlessAborted(parts.liveContainers.of(id).exited ?? Promise.resolve(), call.signal);
}

/** The task with its log taken up again. A log that cannot be is no reason to lose the container. */
async function withLog(
  { liveContainers, log, logs }: Pick<CriParts, "liveContainers" | "log" | "logs">,
  record: ContainerRecord,
  { task, status, withIo }: FoundTask,
  call: Cancellable,
): Promise<Task> {
  const { id } = record;
  const stopped = status.state === "stopped";
  const live = liveContainers.of(id);
  try {
    return await withIo(async (io) => {
      if (live.log) return live.log; // by an attempt that came no further
      await using resumed = new AsyncDisposableStack();
      const how = { ...logOptionsOf(record), config: io, stopped };
      const taken = resumed.use(await logs.resume(how, call));
      // A container that was removed meanwhile closes no log any more.
      if (liveContainers.get(id) !== live) throw fault("NOT_FOUND", "the container is gone");
      live.keepLog(taken);
      resumed.move();
      return taken;
    });
  } catch (error) {
    if (liveContainers.get(id) !== live) return task;
    log.error({ err: error, container: id }, "log could not be taken up again");
    return task;
  }
}

/** What a container wrote before it went with its shim. */
async function salvageLog(
  { log, logs }: Pick<CriParts, "log" | "logs">,
  record: ContainerRecord,
  { signal }: Cancellable,
): Promise<void> {
  using limit = turnLimit(salvageMs, signal);
  try {
    await logs.salvage(logOptionsOf(record), limit);
  } catch (err) {
    log.warn({ err, container: record.id }, "the end of a log could not be salvaged");
  }
}

async function recordLoss({ containers }: Pick<CriParts, "containers">, id: string): Promise<void> {
  const loss = {
    exitCode: 255,
    finishedAtNanos: nowNanos(),
    reason: "Unknown",
    message: "its task was gone when the daemon started",
  };
  await containers.update(id, (current) => becomeExited(current, loss));
}
