// SPDX-License-Identifier: Apache-2.0
import { readdir } from "node:fs/promises";
import path from "node:path";
import type { Cancellable } from "../../base/cancellable.ts";
import { isFault } from "../../base/errors.ts";
import { deleteExec, killExec } from "../container/end-exec.ts";
import { containerOfExec } from "../container/exec-target.ts";
import type { Facade } from "../facade.ts";

export interface LeftoverExec {
  readonly what: string;
  readonly remove: (call: Cancellable) => Promise<void>;
}

/**
 * Execs that a dead daemon left in containers which run on. Nobody waits for them any more, and a
 * kubelet has been told that they failed. The FIFOs they were given bear their names; asking each
 * shim for its processes would cost a start of the OCI runtime per container.
 */
export async function leftoverExecs(facade: Facade): Promise<LeftoverExec[]> {
  const found: LeftoverExec[] = [];
  for (const execId of await namesOfExecs(path.join(facade.ports.config.state, "fifo"))) {
    const task = facade.live.of(containerOfExec(execId) ?? "").task;
    if (!task) continue;
    found.push({
      what: `exec ${execId}`,
      remove: async (call) => {
        const process = task.execHandle(execId);
        if (!(await exists(() => process.status(call)))) return;
        const exit = await process.wait(call);
        await killExec(facade, process, exit.status);
        await deleteExec(facade, process);
      },
    });
  }
  return found;
}

async function namesOfExecs(folder: string): Promise<ReadonlySet<string>> {
  const names = await readdir(folder, { recursive: true }).catch(() => []);
  const execs = names
    .map((name) => path.basename(name))
    .filter((name) => name.endsWith("-stdout"))
    .map((name) => name.slice(0, -"-stdout".length));
  return new Set(execs.filter((id) => containerOfExec(id) !== undefined));
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
