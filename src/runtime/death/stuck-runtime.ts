// SPDX-License-Identifier: Apache-2.0
import { readdir } from "node:fs/promises";
import { identify, killProcess } from "../../base/os/proc.ts";
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

async function killRuntime(
  shimPid: number,
  isWanted: (argv: readonly string[]) => boolean,
  withChildren: boolean,
): Promise<boolean> {
  const home = await readOrNothing(`/proc/${shimPid}/cgroup`);
  if (home === "") return false;
  for (const pid of await childrenOf(shimPid)) {
    // The processes of containers are children of the shim as well: they are in other cgroups than the
    // shim, and their memory, which a command line is, is left alone: a read of it can be made to hang.
    if ((await readOrNothing(`/proc/${pid}/cgroup`)) !== home) continue;
    const candidate = identify(pid);
    if (candidate === undefined || !isWanted(await argumentsOf(candidate))) continue;
    const children = withChildren ? await childrenOf(pid) : [];
    const started = children.map(identify).filter((child) => child !== undefined);
    killProcess(candidate, "SIGKILL");
    for (const child of started) killProcess(child, "SIGKILL");
    return true;
  }
  return false;
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
