// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { fault, isFault } from "../../base/errors.ts";
import { nowNanos } from "../../base/now.ts";
import { settlesWithin, within } from "../../base/waits.ts";
import type { CriParts } from "../parts.ts";
import { becomeExited, type ContainerRecord, describeState } from "../store/container-record.ts";
import { endTask, killNow } from "./purge-task.ts";
import { stopSignal } from "./signals.ts";

export type StopTaskNeeds = Pick<CriParts, "client" | "containers" | "liveContainers" | "nri">;
export type StopNeeds = StopTaskNeeds & Pick<CriParts, "operations">;
export type KillNeeds = StopTaskNeeds & Pick<CriParts, "lifetime">;

/** How long a task may take to end after SIGKILL before Stop gives up; the kubelet asks again. */
const killBoundMs = 30_000;
/** SIGKILL is sent again this often: a runtime may have missed the first while it was busy. */
const killAgainMs = 5_000;
/** How long a start may go on when its container is to be stopped: on a busy node the best of them takes seconds. */
const hangingStartMs = 5_000;

/**
 * Stops a container: its stop signal, `graceMs`, then SIGKILL; at once with no grace. Each caller has
 * a grace of its own, so a later one with a shorter grace shortens the stop, and the stop signal is
 * sent once. Answers when the record shows the exit and plugins know of it. DEADLINE_EXCEEDED when SIGKILL does not end it.
 */
export async function stopContainerTask(
  parts: StopTaskNeeds,
  record: ContainerRecord,
  graceMs: number,
  call: Cancellable,
): Promise<void> {
  await endContainer(parts, record, graceMs, call);
  await parts.nri.stopped(record.id, call);
}

async function endContainer(
  parts: StopTaskNeeds,
  record: ContainerRecord,
  graceMs: number,
  call: Cancellable,
): Promise<void> {
  const { id } = record;
  const live = parts.liveContainers.of(id);
  const { task, exited } = live;
  if (!task || !exited) return stopUnwatched(parts, record, call);
  if (graceMs > 0) {
    const signal = stopSignal(record.config.stopSignal, record.imageStopSignal);
    const asked = live.signalStop(() => ignoreFinished(() => task.kill(signal, call)));
    // A shim that does not answer takes no more than the grace.
    await within(
      asked.then(() => exited),
      graceMs,
      call.signal,
    );
  }
  const giveUpAt = performance.now() + killBoundMs;
  while (!live.hasExited) {
    if (performance.now() >= giveUpAt) {
      throw fault(
        "DEADLINE_EXCEEDED",
        `container "${id}" still runs ${killBoundMs / 1000} s after SIGKILL`,
      );
    }
    await ignoreFinished(() => killNow(task, call));
    await within(exited, killAgainMs, call.signal);
  }
}

/**
 * Settles when no start of the container runs. One that does is waited for, since it runs in a moment; one that hangs is
 * undone: it would keep its pod from ending until its own time is over.
 */
export async function endOfStart(
  { operations }: Pick<CriParts, "operations">,
  id: string,
  graceMs: number,
  call: Cancellable,
): Promise<void> {
  if (!operations.isRunning("StartContainer", id)) return;
  const ended = operations.ended("StartContainer", id, call);
  if (!(await settlesWithin(ended, Math.max(graceMs, hangingStartMs), call.signal))) {
    const reason = fault("ABORTED", `container "${id}" was stopped before it had started`);
    operations.interrupt("StartContainer", id, reason);
  }
  await ended;
}

/** Kills a container if it runs, or will in a moment. */
export async function stopAtOnce(parts: StopNeeds, id: string, call: Cancellable): Promise<void> {
  await endOfStart(parts, id, 0, call);
  const current = parts.containers.get(id);
  if (current?.state.kind !== "running" && current?.state.kind !== "unknown") return;
  await stopContainerTask(parts, current, 0, call);
}

/**
 * Kills a container that runs, or whose state is unknown. Answers when the record shows the exit; plugins learn of it behind
 * what they are asked now, which may be what wants it killed.
 */
export async function killContainer(
  parts: KillNeeds,
  record: ContainerRecord,
  call: Cancellable,
): Promise<void> {
  await endContainer(parts, record, 0, call);
  void parts.nri.stopped(record.id, { signal: parts.lifetime }).catch(() => {});
}

/** A container that nobody watches: of unknown state, or whose recovery failed. */
async function stopUnwatched(
  parts: StopTaskNeeds,
  record: ContainerRecord,
  call: Cancellable,
): Promise<void> {
  const { client } = parts;
  try {
    const container = await client.loadContainer(record.id, call);
    await endTask(await container.task(call), call);
  } catch (error) {
    if (!isFault(error, "NOT_FOUND")) throw error;
  }
  const message = `state was ${describeState(record.state)} when it was stopped`;
  await parts.containers.update(record.id, (current) =>
    becomeExited(current, {
      exitCode: 255,
      finishedAtNanos: nowNanos(),
      reason: "Unknown",
      message,
    }),
  );
}

/** A process that has ended, or whose shim has, cannot be signalled: the exit is on its way. */
async function ignoreFinished(kill: () => Promise<void>): Promise<void> {
  try {
    await kill();
  } catch (error) {
    if (!isFault(error, "NOT_FOUND", "UNAVAILABLE", "FAILED_PRECONDITION")) throw error;
  }
}
