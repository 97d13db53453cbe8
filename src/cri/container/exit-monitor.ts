// SPDX-License-Identifier: Apache-2.0

import { deadline } from "../../base/deadline.ts";
import { isFault } from "../../base/errors.ts";
import { nowNanos } from "../../base/now.ts";
import { sleep } from "../../base/timers.ts";
import { untilAborted } from "../../base/waits.ts";
import type { ExitHandle, ExitStatus, Task } from "../../client/ports.ts";
import type { LiveContainer } from "../live/live-container.ts";
import type { LiveTask } from "../live/live-task.ts";
import type { CriParts } from "../parts.ts";
import type { OomWatch } from "../ports.ts";
import { becomeExited, type ExitedState } from "../store/container-record.ts";
import type { NamedRecord, RecordStore } from "../store/record-store.ts";
import { becomeNotReady } from "../store/sandbox-record.ts";

type WatchNeeds = Pick<CriParts, "lifetime" | "log" | "events">;
export type WatchContainerNeeds = WatchNeeds &
  Pick<CriParts, "containers" | "hooks" | "liveContainers" | "nri">;
export type WatchSandboxNeeds = WatchNeeds & Pick<CriParts, "liveSandboxes" | "sandboxes">;

/** A task and what tells of its end. */
export interface Watched {
  readonly task: Task;
  readonly exit: ExitHandle;
}

/** How long the exit waits for the log to take in what the pipes hold. */
const drainMs = 2_000;
const deleteMs = 15_000;
const attempts = 3;
/** The word by which a kubelet knows a kill for want of memory. */
const oomKilled = "OOMKilled";

/**
 * Watches a container's task: at its end the cgroup is asked for OOM kills, the log takes in what is
 * left, the exit is recorded, and the task deleted; in this order, because the cgroup goes with the
 * task, and because a daemon that dies in between must find the exit in the record or in the shim.
 */
export function watchContainer(
  parts: WatchContainerNeeds,
  id: string,
  watched: Watched & { readonly oom: OomWatch },
): void {
  const live = parts.liveContainers.of(id);
  watch(parts, id, { ...watched, live }, (status) =>
    recordContainerExit(parts, id, { status, oom: watched.oom }, live),
  );
}

/** Watches a sandbox's own task: when it ends, the sandbox is not ready any more. */
export function watchSandbox(parts: WatchSandboxNeeds, id: string, watched: Watched): void {
  const live = parts.liveSandboxes.of(id);
  watch(parts, id, { ...watched, live }, async ({ exitCode }) => {
    await record(parts.sandboxes, id, (sandbox) =>
      becomeNotReady(sandbox, `its task has ended with exit code ${exitCode}`),
    );
    parts.events.publish({ type: "stopped", containerId: id, sandboxId: id });
  });
}

function watch(
  parts: WatchNeeds,
  id: string,
  { task, exit, live }: Watched & { readonly live: LiveTask },
  onExit: (status: ExitStatus) => Promise<void>,
): void {
  const { log } = parts;
  const exited = untilStopped(parts, exit.status).then(async (status) => {
    if (status) await onExit(status);
  });
  const recorded = exited.catch((error: unknown) => {
    log.error({ err: error, container: id }, "exit could not be recorded");
  });
  const finished = exited
    .then(async () => {
      if (!parts.lifetime.aborted) await persistently(() => deleteTask(task));
    })
    .catch((error: unknown) => {
      log.warn({ err: error, container: id }, "task of exited container could not be deleted");
    });
  live.watch(task, { recorded, finished });
}

/** The exit; undefined when the daemon stops first: a wait cut off by that says nothing of the task. */
async function untilStopped(
  { lifetime }: Pick<CriParts, "lifetime">,
  status: Promise<ExitStatus>,
): Promise<ExitStatus | undefined> {
  const first = await untilAborted(status, lifetime);
  return lifetime.aborted ? undefined : first;
}

async function recordContainerExit(
  parts: Pick<CriParts, "containers" | "events" | "hooks" | "lifetime" | "log" | "nri">,
  id: string,
  { status, oom }: { readonly status: ExitStatus; readonly oom: OomWatch },
  live: LiveContainer,
): Promise<void> {
  const container = parts.containers.get(id);
  if (!container) return oom.forget();
  const [kills] = await Promise.all([oomKills(parts, id, oom, status), drainLog(parts, id, live)]);
  const exit = withEviction(exitFacts(status, kills), live.evicted);
  await record(parts.containers, id, (current) => becomeExited(current, exit));
  parts.events.publish({ type: "stopped", containerId: id, sandboxId: container.sandboxId });
  if (exit.reason === oomKilled) parts.hooks?.onOomKill?.();
  parts.log.info(
    { container: id, exitCode: exit.exitCode, reason: exit.reason },
    "container exited",
  );
  // A stop waits for it; nothing else need.
  void parts.nri.stopped(id, { signal: parts.lifetime }).catch(() => {});
}

/** Who looks at the container shall see that it did not end by itself. */
function withEviction(exit: ExitFacts, reason: string | undefined): ExitFacts {
  if (reason === undefined) return exit;
  return { ...exit, message: `evicted by ${reason}` };
}

/**
 * Records an ending. When the disk will not take it the ending is shown all the same: a kubelet must
 * learn of it. The error then keeps the task from being deleted, so that recovery can read the exit.
 */
async function record<R extends NamedRecord>(
  store: RecordStore<R>,
  id: string,
  change: (current: R) => R,
): Promise<void> {
  try {
    await persistently(() => store.update(id, change));
  } catch (error) {
    const current = store.get(id);
    if (current) store.show(change(current));
    throw error;
  }
}

type ExitFacts = Omit<ExitedState, "kind" | "startedAtNanos">;

/** What a record keeps of an exit. A kill for want of memory explains any exit that is no success. */
export function exitFacts(status: ExitStatus, oomKills: number): ExitFacts {
  const { exitCode, error } = status;
  const finishedAtNanos = status.exitedAtNanos > 0n ? status.exitedAtNanos : nowNanos();
  const facts = { exitCode, finishedAtNanos, message: error?.message ?? "" };
  if (exitCode === 0) return { ...facts, reason: "Completed" };
  if (oomKills > 0) return { ...facts, reason: oomKilled };
  return { ...facts, reason: error ? "Unknown" : "Error" };
}

/** An exit without its reason is worth more than no exit. */
async function oomKills(
  { log }: Pick<CriParts, "log">,
  id: string,
  oom: OomWatch,
  { exitCode }: ExitStatus,
): Promise<number> {
  try {
    return await oom.kills(exitCode);
  } catch (error) {
    log.warn({ err: error, container: id }, "OOM kills could not be read");
    return 0;
  }
}

async function drainLog(
  parts: Pick<CriParts, "lifetime" | "log">,
  id: string,
  { log }: LiveContainer,
): Promise<void> {
  if (!log) return;
  using limit = deadline(drainMs, "draining the log", parts.lifetime);
  try {
    await log.drained(limit);
  } catch (error) {
    // A child that left the container's processes behind can hold the pipe open for ever.
    parts.log.warn({ err: error, container: id }, "log was not drained at exit");
  }
}

async function deleteTask(task: Task): Promise<void> {
  using limit = deadline(deleteMs, "deleting the task");
  try {
    await task.delete(limit);
  } catch (error) {
    if (!isFault(error, "NOT_FOUND")) throw error;
  }
}

/** Tries thrice; a full disk or a busy mount may pass. */
async function persistently(step: () => Promise<unknown>): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await step();
      return;
    } catch (error) {
      if (attempt >= attempts) throw error;
      await sleep(100 * attempt ** 2);
    }
  }
}
