// SPDX-License-Identifier: Apache-2.0
import type { Dirent } from "node:fs";
import { opendir } from "node:fs/promises";
import path from "node:path";
import type { Cancellable } from "../../base/cancellable.ts";
import { deadline } from "../../base/deadline.ts";
import { errnoOf, isFault } from "../../base/errors.ts";
import { allSettled } from "../../base/waits.ts";
import type { Task } from "../../client/ports.ts";
import { deleteExec, type EndExecNeeds, killExec } from "../container/end-exec.ts";
import { containerOfExec } from "../container/exec-target.ts";
import type { CriParts } from "../parts.ts";

export type LeftoverExecNeeds = EndExecNeeds & Pick<CriParts, "liveContainers" | "paths">;

const endMs = 10_000;

export interface LeftoverExec {
  readonly what: string;
  readonly remove: (call: Cancellable) => Promise<void>;
}

/**
 * Execs that a dead daemon left in containers which run on. Nobody waits for them any more, and a
 * kubelet has been told that they failed. The FIFOs they were given bear their names; asking each
 * shim for its processes would cost a start of the OCI runtime per container.
 */
export async function leftoverExecs(parts: LeftoverExecNeeds): Promise<LeftoverExec[]> {
  const found: LeftoverExec[] = [];
  for await (const execId of namesOfExecs(parts.paths.fifos)) {
    const task = parts.liveContainers.get(containerOfExec(execId) ?? "")?.task;
    if (!task) continue;
    found.push({
      what: `exec ${execId}`,
      remove: (call) => endExec(parts, task, execId, call),
    });
  }
  return found;
}

/**
 * The same in containers whose recovery goes on, by their ids. What is answered ends them, each once its container has a
 * task again, and never rejects: their FIFOs, which tell of them now, may be gone by then.
 */
export async function lateExecs(
  parts: LeftoverExecNeeds & Pick<CriParts, "lifetime" | "log">,
  pending: ReadonlyMap<string, Promise<void>>,
): Promise<() => Promise<void>> {
  const found = new Map<string, string[]>();
  if (pending.size > 0) {
    for await (const execId of namesOfExecs(parts.paths.fifos)) {
      const id = containerOfExec(execId) ?? "";
      if (pending.has(id)) found.set(id, [...(found.get(id) ?? []), execId]);
    }
  }
  return async () => {
    await allSettled(
      [...found].map(async ([id, execIds]) => {
        await pending.get(id);
        const task = parts.liveContainers.get(id)?.task;
        for (const execId of execIds) if (task) await endLate(parts, task, execId);
      }),
    );
  };
}

async function endLate(
  parts: LeftoverExecNeeds & Pick<CriParts, "lifetime" | "log">,
  task: Task,
  execId: string,
): Promise<void> {
  const what = `exec ${execId}`;
  using limit = deadline(endMs, `ending ${what}`, parts.lifetime);
  try {
    await endExec(parts, task, execId, limit);
    parts.log.warn({ leftover: what }, "leftover removed");
  } catch (error) {
    parts.log.error({ err: error, leftover: what }, "leftover could not be removed");
  }
}

async function endExec(
  parts: LeftoverExecNeeds,
  task: Task,
  execId: string,
  call: Cancellable,
): Promise<void> {
  const process = task.execHandle(execId);
  if (!(await exists(() => process.status(call)))) return;
  const exit = await process.wait(call);
  await killExec(parts, process, exit.status);
  await deleteExec(parts, process);
}

/** Each process has a folder of its own with its FIFOs, three at most. */
async function* namesOfExecs(folder: string): AsyncGenerator<string, void, undefined> {
  for await (const { name } of entriesOf(folder)) {
    let left = mostFifos;
    for await (const fifo of entriesOf(path.join(folder, name))) {
      const execId = fifo.name.endsWith(suffix) ? fifo.name.slice(0, -suffix.length) : "";
      if (containerOfExec(execId) !== undefined) yield execId;
      left -= 1;
      if (left === 0) break; // it is none of ours
    }
  }
}

const suffix = "-stdout";
const mostFifos = 16;

/** A few entries at a time; none where there is no such folder. */
async function* entriesOf(folder: string): AsyncGenerator<Dirent, void, undefined> {
  try {
    yield* await opendir(folder);
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
  }
}

async function exists(look: () => Promise<unknown>): Promise<boolean> {
  try {
    await look();
    return true;
  } catch (error) {
    if (isFault(error, "NOT_FOUND")) return false;
    throw error;
  }
}
