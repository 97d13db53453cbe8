// SPDX-License-Identifier: Apache-2.0
import { readdir } from "node:fs/promises";
import { identify, isAlive, killProcess, type ProcessIdentity } from "../../base/os/proc.ts";
import { argumentsOf } from "../../base/os/process-scan.ts";
import { readStart } from "../../base/read-bounded.ts";

/** Children of a shim that are looked at: a container in the host's process namespace may leave it any number. */
const maxCandidates = 4096;
/** Their pids, each with a blank; a cgroup's path is shorter. */
const maxBytes = maxCandidates * 8;

/**
 * Kills the OCI runtime that a shim has started to create a container or to exec in one, and what it has
 * started itself in there. It is told by its `--pid-file`, as go-runc calls it: `BUNDLE/init.pid` or
 * `BUNDLE/EXEC.pid`. The shim's call then fails, and other calls that wait behind it go on.
 *
 * One such hang: the runtime writes an error with a long name to its stderr, a pipe that its shim reads
 * only once the runtime has ended. Answers whether there was one; false too for a kernel without
 * /proc/PID/task/TID/children.
 */
export async function killStuckRuntime(shimPid: number, pidFile: string): Promise<boolean> {
  return killRuntime(shimPid, (argv) => argv[argv.indexOf("--pid-file") + 1] === pidFile, true);
}

/**
 * Kills the OCI runtime that a shim has started to dump a container. CRIU, which that has started, is left to itself: it
 * sees that nobody waits for it any more.
 */
export async function killStuckDump(shimPid: number, id: string): Promise<boolean> {
  return killRuntime(shimPid, (argv) => argv.includes("checkpoint") && argv.at(-1) === id, false);
}

/** Kills what a shim has started for a container and waits for: its calls fail, and the others that wait behind them go on. */
export async function killStuckCalls(shimPid: number, id: string): Promise<void> {
  for await (const runtime of runtimesOf(shimPid)) {
    if ((await argumentsOf(runtime)).at(-1) === id) await killWithChildren(runtime);
  }
}

/** Kills whatever OCI runtimes a shim has running: one that is killed itself leaves them behind, and nobody asks for their answers. */
export async function killRuntimesOf(shim: ProcessIdentity): Promise<void> {
  for await (const runtime of runtimesOf(shim.pid)) {
    if (!isAlive(shim)) return;
    await killWithChildren(runtime);
  }
}

async function killRuntime(
  shimPid: number,
  isWanted: (argv: readonly string[]) => boolean,
  withChildren: boolean,
): Promise<boolean> {
  for await (const candidate of runtimesOf(shimPid)) {
    if (!isWanted(await argumentsOf(candidate))) continue;
    if (withChildren) await killWithChildren(candidate);
    else killProcess(candidate, "SIGKILL");
    return true;
  }
  return false;
}

/**
 * The processes of containers are children of the shim as well: they are in other cgroups than the shim, and their memory,
 * which a command line is, is left alone: a read of it can be made to hang.
 */
async function* runtimesOf(shimPid: number): AsyncGenerator<ProcessIdentity> {
  const home = await readOrNothing(`/proc/${shimPid}/cgroup`);
  if (home === "") return;
  for (const pid of await childrenOf(shimPid)) {
    if ((await readOrNothing(`/proc/${pid}/cgroup`)) !== home) continue;
    const candidate = identify(pid);
    if (candidate !== undefined) yield candidate;
  }
}

async function killWithChildren(runtime: ProcessIdentity): Promise<void> {
  const children = await childrenOf(runtime.pid);
  const started = children.map(identify).filter((child) => child !== undefined);
  killProcess(runtime, "SIGKILL");
  for (const child of started) killProcess(child, "SIGKILL");
}

async function childrenOf(pid: number): Promise<number[]> {
  const threads = await readdir(`/proc/${pid}/task`).catch(() => []);
  const lists = await Promise.all(
    threads.map((thread) => readOrNothing(`/proc/${pid}/task/${thread}/children`)),
  );
  return lists
    .flatMap((list) => list.split(" ").slice(0, -1)) // each ends with a blank; what is cut does not
    .slice(0, maxCandidates)
    .map(Number);
}

async function readOrNothing(file: string): Promise<string> {
  try {
    return (await readStart(file, maxBytes)).toString();
  } catch {
    return "";
  }
}
