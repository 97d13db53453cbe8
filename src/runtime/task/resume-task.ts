// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { timeoutSignal } from "../../base/timers.ts";
import { settlesWithin } from "../../base/waits.ts";
import type { Bundle } from "../bundle/bundle.ts";
import { specCgroupsPath } from "../death/dead-task.ts";
import { setFrozen } from "../death/freezer.ts";
import { ownCgroups } from "../death/leftover-processes.ts";
import type { ProcessState } from "../ports.ts";
import { criuLetsGo, type DumpedTask, endDump } from "./end-dump.ts";

interface FrozenTask extends DumpedTask {
  readonly bundle: Bundle;
  state(execId: string, call: Cancellable): Promise<ProcessState>;
}

/** How long a dump may go on that somebody wants to end by a Resume. */
const dumpMs = 4_000;

/**
 * Resumes a task by `ask`, and sees to it that it runs afterwards. A dump holds it in ways that the shim does not know: the
 * shim answers nothing before the dump's end; a CRIU that outlives its runtime puts the freezer back as it was, late; and one
 * that is killed leaves a task that runs while the shim takes it for paused, and would refuse every exec.
 */
export async function resumeTask(
  task: FrozenTask,
  ask: () => Promise<void>,
  call: Cancellable,
): Promise<void> {
  await criuLetsGo(task, { signal: timeoutSignal(dumpMs) });
  const asked = ask();
  if (!(await settlesWithin(asked, dumpMs))) await endDump(task);
  try {
    await asked;
  } catch (error) {
    const { status } = await task.state("", call);
    if (status !== "PAUSED") throw error;
    await resumeAsFrozen(task, ask);
  }
}

/**
 * Has a restored task run. Its image was made while it stood still, with its pod, and CRIU may restore that as well: shim and
 * clients, who see a task that runs, would never thaw it.
 */
export async function thawRestored(task: Pick<FrozenTask, "bundle" | "id" | "pid">): Promise<void> {
  await setFrozen(await cgroupsOf(task), false);
}

async function cgroupsOf({
  bundle,
  id,
  pid,
}: Pick<FrozenTask, "bundle" | "id" | "pid">): Promise<readonly string[]> {
  return ownCgroups(pid, id, await specCgroupsPath(bundle));
}

/** The OCI runtime refuses what is not frozen. When it still does, the processes run all the same. */
async function resumeAsFrozen(task: FrozenTask, ask: () => Promise<void>): Promise<void> {
  const cgroups = await cgroupsOf(task);
  try {
    await setFrozen(cgroups, true);
    await ask();
  } finally {
    await setFrozen(cgroups, false);
  }
}
