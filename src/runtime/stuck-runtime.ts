// SPDX-License-Identifier: Apache-2.0
import { readdir, readFile } from "node:fs/promises";
import { identify, killProcess, type ProcessIdentity } from "../base/os/proc.ts";

/** Children of a shim that are looked at: a container in the host's process namespace may leave it any number. */
const maxCandidates = 4096;

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
  const home = await readOrNothing(`/proc/${shimPid}/cgroup`);
  if (home === "") return false;
  for (const candidate of await childrenOf(shimPid)) {
    if (!(await isRuntime(candidate, home, pidFile))) continue;
    const started = await childrenOf(candidate.pid);
    killProcess(candidate, "SIGKILL");
    for (const child of started) killProcess(child, "SIGKILL");
    return true;
  }
  return false;
}

/**
 * Whether this is the runtime. The processes of containers are children of the shim as well: they are
 * in other cgroups than the shim, and their memory, which a command line is, is left alone: a read of
 * it can be made to hang.
 */
async function isRuntime(
  { pid }: ProcessIdentity,
  shimCgroup: string,
  pidFile: string,
): Promise<boolean> {
  if ((await readOrNothing(`/proc/${pid}/cgroup`)) !== shimCgroup) return false;
  const argv = (await readOrNothing(`/proc/${pid}/cmdline`)).split("\0");
  return argv[argv.indexOf("--pid-file") + 1] === pidFile;
}

async function childrenOf(pid: number): Promise<ProcessIdentity[]> {
  const threads = await readdir(`/proc/${pid}/task`).catch(() => []);
  const lists = await Promise.all(
    threads.map((thread) => readOrNothing(`/proc/${pid}/task/${thread}/children`)),
  );
  return lists
    .flatMap((list) => list.split(" ").filter(Boolean))
    .slice(0, maxCandidates)
    .map((child) => identify(Number(child)))
    .filter((child) => child !== undefined);
}

async function readOrNothing(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch {
    return "";
  }
}
