// SPDX-License-Identifier: Apache-2.0

import type { Logger } from "../../base/logger.ts";
import { nowNanos } from "../../base/now.ts";
import { identify, type ProcessIdentity } from "../../base/os/proc.ts";
import { run } from "../../base/process.ts";
import { timeoutSignal } from "../../base/timers.ts";
import type { Bundle } from "../bundle/bundle.ts";
import { cgroupsPath } from "../bundle/spec-text.ts";
import type { ProcessExit } from "../ports.ts";
import type { ShimBinary } from "../shim/binary.ts";
import type { ShimLauncher } from "../shim/launcher.ts";
import { killLeftovers, ownCgroups, removeCgroups, specCgroups } from "./leftover-processes.ts";
import { clearRuntimeState, pidInCrun, runtimePlace } from "./runtime-state.ts";

export interface DeadTask {
  readonly bundle: Bundle;
  /** undefined when the shim's program is gone too. */
  readonly binary: ShimBinary | undefined;
  readonly launcher: ShimLauncher;
  /** Init where it is known; else it is taken from the bundle's init.pid, if that is still it. */
  readonly init: ProcessIdentity | undefined;
  readonly timeoutMs: number;
  readonly log: Logger;
}

const exitUnknown = 255;

/**
 * Ends a container that no shim parents any more: its processes run on after the shim's death,
 * adopted by init, and nobody would tell of their exit. Afterwards no process of it lives and the OCI
 * runtime has forgotten it; the bundle is the caller's. Never rejects: status 255 says that the
 * proper way failed.
 */
export async function endDeadTask(task: DeadTask): Promise<ProcessExit> {
  const { bundle, log } = task;
  const specPath = await specCgroupsPath(bundle);
  const init = task.init ?? (await initFromBundle(bundle, specPath));
  // Before the clean-up: afterwards there is no process to ask for its cgroups.
  const own = init === undefined ? [] : await ownCgroups(init.pid, bundle.id, specPath);
  const exit = await cleanUp(task, init?.pid ?? 0);
  try {
    // After it: an OCI runtime that dies with its shim may make one more folder while it does.
    const cgroups = [...new Set([...own, ...(await specCgroups(bundle.id, specPath))])];
    await killLeftovers(init, cgroups, timeoutSignal(task.timeoutMs));
    await removeCgroups(cgroups, { log, signal: timeoutSignal(task.timeoutMs) });
  } catch (err) {
    log.warn({ err, task: bundle.id }, "processes of a dead task may be left");
  }
  await clearRuntimeState(bundle, log);
  return exit;
}

async function cleanUp(task: DeadTask, initPid: number): Promise<ProcessExit> {
  const { binary, bundle, launcher, log } = task;
  const signal = timeoutSignal(task.timeoutMs);
  try {
    if (binary === undefined) throw new Error("no shim program");
    const exit = await launcher.cleanUp({ binary, bundle }, { signal });
    return { ...exit, pid: exit.pid || initPid };
  } catch (err) {
    log.warn(
      { err, task: bundle.id },
      "shim could not delete a dead task, deleting it in the OCI runtime",
    );
  }
  try {
    await deleteInRuntime(bundle, timeoutSignal(task.timeoutMs));
  } catch (err) {
    log.warn({ err, task: bundle.id }, "OCI runtime could not delete a dead task");
  }
  return { pid: initPid, exitStatus: exitUnknown, exitedAtNanos: nowNanos() };
}

async function deleteInRuntime(bundle: Bundle, signal: AbortSignal): Promise<void> {
  const { program, root } = await runtimePlace(bundle);
  await run(program, ["--root", `${root}/${bundle.namespace}`, "delete", "--force", bundle.id], {
    signal,
  });
}

/** The cgroup that a bundle's spec names; "" when it names none, or cannot be read. */
export async function specCgroupsPath(bundle: Bundle): Promise<string> {
  try {
    return cgroupsPath(await bundle.read("config.json"));
  } catch {
    return "";
  }
}

// A pid in a file may be another's by now: it counts only with a cgroup of this container.
async function initFromBundle(
  bundle: Bundle,
  specPath: string,
): Promise<ProcessIdentity | undefined> {
  const noted = Number((await bundle.read("init.pid").catch(() => "")) || 0);
  // With a bundle that is damaged runc ends what it knows; crun's part in that is ours.
  const pid = noted || (await pidInCrun(bundle));
  const init = identify(pid);
  if (init === undefined) return undefined;
  const cgroups = await ownCgroups(pid, bundle.id, specPath);
  return cgroups.length > 0 ? init : undefined;
}
