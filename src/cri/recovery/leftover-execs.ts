// SPDX-License-Identifier: Apache-2.0
import type { Dirent } from "node:fs";
import { opendir } from "node:fs/promises";
import path from "node:path";
import type { Cancellable } from "../../base/cancellable.ts";
import { errnoOf, isFault } from "../../base/errors.ts";
import { deleteExec, type EndExecNeeds, killExec } from "../container/end-exec.ts";
import { containerOfExec } from "../container/exec-target.ts";
import type { CriParts } from "../parts.ts";

export type LeftoverExecNeeds = EndExecNeeds & Pick<CriParts, "liveContainers" | "paths">;

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
      remove: async (call) => {
        const process = task.execHandle(execId);
        if (!(await exists(() => process.status(call)))) return;
        const exit = await process.wait(call);
        await killExec(parts, process, exit.status);
        await deleteExec(parts, process);
      },
    });
  }
  return found;
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
