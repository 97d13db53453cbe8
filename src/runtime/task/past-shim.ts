// SPDX-License-Identifier: Apache-2.0
import { fault } from "../../base/errors.ts";
import type { Logger } from "../../base/logger.ts";
import { hasEnded, type ProcessIdentity } from "../../base/os/proc.ts";
import { timeoutSignal } from "../../base/timers.ts";
import type { Bundle } from "../bundle/bundle.ts";
import { specCgroupsPath } from "../death/dead-task.ts";
import { killLeftovers, ownCgroups, specCgroups } from "../death/leftover-processes.ts";
import { killRuntimesOf } from "../death/stuck-runtime.ts";
import type { Shim } from "../shim/shim.ts";
import { attempt } from "./attempt.ts";

/** A task as the killing of it sees it. */
export interface KilledTask {
  readonly id: string;
  /** "" for none. */
  readonly sandboxId: string;
  readonly pid: number;
  /** undefined when it was gone already. */
  readonly initProcess: ProcessIdentity | undefined;
  readonly bundle: Bundle;
  readonly shim: Shim;
}

/** Kills what runs in the task's cgroup without the shim's help, in this time. Never rejects. */
export async function killPastShim(
  task: KilledTask,
  log: Logger,
  timeoutMs: number,
): Promise<void> {
  const { bundle, id, initProcess, pid, shim } = task;
  log.warn({ task: id, shim: shim.pid }, "SIGKILL does not end a task, killing past its shim");
  await attempt({ log, task: id, failure: "task could not be killed past its shim" }, async () => {
    // As shims do: with init goes all that is in its cgroup, and what joins it and waits there frozen.
    const specPath = await specCgroupsPath(bundle);
    const own = await ownCgroups(pid, id, specPath);
    // Of one that is dying v1 says that it is in no cgroup, while its children hold it there.
    const cgroups = new Set([...own, ...(await specCgroups(id, specPath))]);
    await killLeftovers(initProcess, [...cgroups], timeoutSignal(timeoutMs));
  });
}

/**
 * Kills the shim, unless it has tasks that are none of this one's and live; false when it was spared. All of a pod are killed
 * at once as a rule, each of them past the shim: then none is left that needs it.
 */
export async function killSilentShim(task: KilledTask, log: Logger): Promise<boolean> {
  const { id, sandboxId, shim } = task;
  const isOwner = sandboxId === "" || sandboxId === id;
  if (!isOwner && shim.isNeededBeside(task)) return false;
  log.error({ task: id, shim: shim.pid }, "shim does not answer, killing it with its tasks");
  if (shim.process !== undefined) await killRuntimesOf(shim.process);
  shim.killSilent();
  return true;
}

/** UNAVAILABLE while init lives: nobody else can tell, of a task whose shim is silent. */
export function refuseAlive({ id, initProcess, shim }: KilledTask): void {
  if (initProcess === undefined || hasEnded(initProcess)) return;
  throw fault(
    "UNAVAILABLE",
    `cannot kill task "${id}": its shim (pid ${shim.pid}) does not answer, and init (pid ${initProcess.pid}) lives on`,
  );
}
