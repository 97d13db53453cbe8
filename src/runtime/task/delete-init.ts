// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import type { Cancellable } from "../../base/cancellable.ts";
import { deadline } from "../../base/deadline.ts";
import { isFault } from "../../base/errors.ts";
import type { Logger } from "../../base/logger.ts";
import { nowNanos } from "../../base/now.ts";
import { unmountBelow } from "../../base/os/mount-table.ts";
import { nanosOf } from "../../rpc/timestamp.ts";
import type { Bundle } from "../bundle/bundle.ts";
import { clearRuntimeState, runtimePlace } from "../death/runtime-state.ts";
import { clearWithoutRuntime, isRuntimeGone } from "../death/without-runtime.ts";
import type { DeletionNotice, DeletionNotices } from "../events/deletion-notices.ts";
import type { TaskEvents } from "../events/task-events.ts";
import type { ProcessExit } from "../ports.ts";
import type { Shim } from "../shim/shim.ts";
import { attempt } from "./attempt.ts";
import type { ShimCalls } from "./shim-calls.ts";

/** How long the last task's delete event may take before it is made up; it takes about 1 ms. */
const deleteEventMs = 250;
/** How long a shim that has not answered a SIGKILL may take to delete a task. */
const silentDeleteMs = 5_000;

/** A task as its deletion sees it. */
export interface DeletedTask {
  readonly namespace: string;
  readonly id: string;
  readonly pid: number;
  readonly bundle: Bundle;
  readonly shim: Shim;
  readonly initExit: ProcessExit | undefined;
  /** We have seen init's exit, and its shim has not told of it. */
  readonly isUntold: boolean;
  /** Its shim has not answered a SIGKILL, and may not answer a deletion either. */
  readonly isSilent: boolean;
  /** Answers every wait, pending or later, and refuses other calls. */
  died(exit: ProcessExit): void;
}

/** What a deletion needs besides its task. */
export interface DeletionParts {
  readonly log: Logger;
  readonly events: TaskEvents;
  /** undefined where nobody listens to what shims forward. */
  readonly notices: DeletionNotices | undefined;
  /** Takes the task from the list. */
  readonly forget: (task: DeletedTask) => void;
  /** Counts a task out of its shim, which ends with its last one. Never rejects. */
  readonly release: (shim: Shim, taskId: string) => Promise<void>;
  /** A parent cgroup may be empty now. */
  readonly containerGone: () => void;
}

/**
 * Deletes a task, and with it the bundle, and the shim when it was the last one there. Rejects as long as the shim has
 * the task; once it has not, nothing fails any more.
 */
export async function deleteInit(
  task: DeletedTask,
  calls: ShimCalls,
  parts: DeletionParts,
  call: Cancellable,
): Promise<ProcessExit> {
  using notice = parts.notices?.expect(task);
  const exit = await deleteInShim(task, calls, parts, call);
  task.died(exit); // waits that come after the deletion find their answer too
  parts.forget(task);
  await Promise.all([removeBundle(task, parts.log), leaveShim(task, exit, notice, parts)]);
  parts.containerGone();
  return exit;
}

async function deleteInShim(
  task: DeletedTask,
  calls: ShimCalls,
  { events, log }: DeletionParts,
  call: Cancellable,
): Promise<ProcessExit> {
  const { bundle, initExit } = task;
  try {
    if (initExit !== undefined) await clearForCrun(bundle, log);
    if (!task.isSilent) return await deleteOnce("", task.id, calls, call);
    using limit = deadline(silentDeleteMs, "the shim", call.signal);
    return await deleteOnce("", task.id, calls, limit);
  } catch (error) {
    const isLate = isFault(error, "DEADLINE_EXCEEDED", "CANCELLED") && !call.signal.aborted;
    const isSilent = task.isSilent && isLate;
    const isHopeless = isSilent || (isFault(error, "UNKNOWN") && (await isRuntimeGone(bundle)));
    if (initExit !== undefined && isHopeless) {
      // The shim will never be rid of it, and is told nothing more of it.
      const why = isSilent ? "shim of a task does not answer" : "OCI runtime of a task is gone";
      log.warn({ err: error, task: task.id }, `${why}, deleting it without`);
      await clearWithoutRuntime(bundle, log);
      if (task.isUntold) events.exited(task, initExit);
      if (!task.shim.isLast(task.id)) events.deleted(task, initExit);
      return initExit;
    }
    if (isFault(error, "UNKNOWN") && (await clearTheWay(bundle, log)))
      return deleteOnce("", task.id, calls, call);
    if (!isFault(error, "NOT_FOUND")) throw error;
    // The shim does not have it any more (an earlier deletion went half way): finish here.
    return initExit ?? { pid: task.pid, exitStatus: 255, exitedAtNanos: nowNanos() };
  }
}

/** Shims unmount the rootfs, and runc removes its state: both give up when something is mounted in there. */
async function clearTheWay(bundle: Bundle, log: Logger): Promise<boolean> {
  const isStateGone = await clearRuntimeState(bundle, log);
  return (await unmountBelow(bundle.rootfs)) > 0 || isStateGone;
}

/**
 * With crun there is no second attempt: what it has deleted it does not know any more, and says so in words that
 * shims do not take for that. So what somebody has mounted in there goes first.
 */
async function clearForCrun(bundle: Bundle, log: Logger): Promise<void> {
  const failure = "mounts in a rootfs were not looked at";
  await attempt({ log, task: bundle.id, failure }, async () => {
    const { program } = await runtimePlace(bundle);
    if (path.basename(program) !== "crun") return;
    await unmountBelow(bundle.rootfs, { sparesTop: true });
  });
}

/** Asks the shim once to delete a process, init ("") or an exec. */
export async function deleteOnce(
  execId: string,
  id: string,
  calls: ShimCalls,
  call: Cancellable,
): Promise<ProcessExit> {
  const { pid, exitStatus, exitedAt } = await calls.ask(
    `cannot delete ${calls.name(execId)}`,
    call,
    (api, options) => api.Delete({ id, execId }, options),
  );
  return { pid, exitStatus, exitedAtNanos: nanosOf(exitedAt) };
}

async function removeBundle({ id, bundle }: DeletedTask, log: Logger): Promise<void> {
  await attempt({ log, task: id, failure: "bundle was not removed" }, async () => {
    await clearRuntimeState(bundle, log);
    await bundle.remove();
  });
}

/** The shim's last task: it ends, and takes along an event that it has not sent yet. */
async function leaveShim(
  task: DeletedTask,
  exit: ProcessExit,
  notice: DeletionNotice | undefined,
  { events, release }: DeletionParts,
): Promise<void> {
  if (task.shim.isLast(task.id) && (await notice?.came(deleteEventMs)) === false) {
    events.deleted(task, exit);
  }
  await release(task.shim, task.id);
}
