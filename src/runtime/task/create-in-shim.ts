// SPDX-License-Identifier: Apache-2.0

import type { Cancellable } from "../../base/cancellable.ts";
import { timeLimit } from "../../base/deadline.ts";
import { settlesWithin, unlessAborted } from "../../base/waits.ts";
import type { Bundle } from "../bundle/bundle.ts";
import { type DeadTask, endDeadTask } from "../death/dead-task.ts";
import { clearRuntimeState } from "../death/runtime-state.ts";
import { killStuckRuntime } from "../death/stuck-runtime.ts";
import type { CreateOptions } from "../ports.ts";
import type { Shim } from "../shim/shim.ts";
import { shimFault } from "../shim/shim-fault.ts";

const sigkill = 9;
/** How long a Create that nobody waits for may go on before the OCI runtime it waits for is killed. */
const runtimeGraceMs = 2_000;
/** A Create that waits for a FIFO's other end gives up after 30 s; nothing can stop it earlier. */
const createLimitMs = 35_000;

/** A Create under way in a shim. ttrpc cannot cancel it: it ends when it ends. */
export interface Creation {
  /** Init's pid, or the shim's error, or the abort of the caller's wait. */
  result(call: Cancellable): Promise<number>;
  /** How it ended: true when the shim has the task; false also when it does not end in time. */
  outcome(): Promise<boolean>;
}

export function createInShim(shim: Shim, bundle: Bundle, options: CreateOptions): Creation {
  const answer = shim.api.Create(
    {
      id: bundle.id,
      bundle: bundle.path,
      rootfs: [...options.rootfs],
      ...options.io,
      checkpoint: options.checkpointPath,
      options: options.runtimeOptions,
    },
    { namespace: bundle.namespace },
  );
  answer.catch(() => {}); // both ways to ask for it report the error
  return {
    async result({ signal }) {
      try {
        return (await unlessAborted(answer, signal)).pid;
      } catch (error) {
        throw shimFault(error, `cannot create task "${bundle.id}"`);
      }
    },
    async outcome() {
      if (!(await settlesWithin(answer, runtimeGraceMs)) && shim.isOpen) {
        await killStuckRuntime(shim.pid, `${bundle.path}/init.pid`);
      }
      try {
        using limit = timeLimit(createLimitMs);
        await unlessAborted(answer, limit.signal);
        return true;
      } catch {
        return false;
      }
    },
  };
}

/**
 * Takes back a Create that failed or that nobody waits for any more. A failed one can leave a created
 * container behind (a FIFO without a reader does), so the OCI runtime is always asked to delete it.
 */
export async function discardFailedCreate(
  creation: Creation,
  shim: Shim,
  bundle: Bundle,
  death: DeadTask,
): Promise<void> {
  const isInShim = await creation.outcome();
  if (isInShim && shim.isOpen) {
    using limit = timeLimit(death.timeoutMs);
    const options = { namespace: bundle.namespace, signal: limit.signal };
    try {
      await shim.api.Kill({ id: bundle.id, signal: sigkill, all: true }, options);
      await shim.api.Wait({ id: bundle.id }, options);
      await shim.api.Delete({ id: bundle.id }, options);
      await clearRuntimeState(bundle, death.log);
      return;
    } catch (err) {
      death.log.debug({ err, task: bundle.id }, "unwanted task is deleted the hard way");
    }
  }
  await endDeadTask(death);
}
