// SPDX-License-Identifier: Apache-2.0
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { identify, killProcess } from "../../base/os/proc.ts";

export interface ShimSearch {
  /** Path of the shim's program; "" for any. */
  readonly binary: string;
  readonly namespace: string;
  /** Ids one of which the shim was started with. */
  readonly ids: readonly string[];
  readonly grpcAddress: string;
  /** Shims that are in reach: a pod's containers are in the shim that bears their sandbox's id. */
  readonly spared: ReadonlySet<number>;
}

const most = 10;

/**
 * Kills shims of ours that cannot be reached: started but not connected to, or hanging. A shim's
 * command line names its namespace, the daemon's address and the task it was started for, which no
 * other process has. So does the helper's that starts one, and it outlives a daemon that was killed:
 * it goes too, and since it may have started its shim meanwhile, all is looked at again until
 * nothing is found. Answers the pids. For failures only: it reads all of /proc.
 */
export async function killStrayShims(search: ShimSearch): Promise<number[]> {
  const all: number[] = [];
  for (let round = 0; round < most; round += 1) {
    const killed = await killOnce(search);
    if (killed.length === 0) break;
    all.push(...killed);
  }
  return all;
}

async function killOnce(search: ShimSearch): Promise<number[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
  const killed = await Promise.all(
    pids.map(async (pid) => {
      const process = identify(pid);
      if (process === undefined || search.spared.has(pid)) return [];
      if (!isShimOf(await argvOf(pid), search)) return [];
      return killProcess(process, "SIGKILL") ? [pid] : [];
    }),
  );
  return killed.flat();
}

/** Exported for tests: whether a command line is that of a shim looked for. */
export function isShimOf(argv: readonly string[], search: Omit<ShimSearch, "spared">): boolean {
  const program = argv[0] ?? "";
  if (search.binary !== "" && path.basename(program) !== path.basename(search.binary)) return false;
  const value = (flag: string): string | undefined => {
    const at = argv.indexOf(flag);
    return at < 0 ? undefined : argv[at + 1];
  };
  return (
    value("-namespace") === search.namespace &&
    value("-address") === search.grpcAddress &&
    search.ids.includes(value("-id") ?? "") &&
    argv.at(-1) !== "delete"
  );
}

async function argvOf(pid: number): Promise<string[]> {
  try {
    return (await readFile(`/proc/${pid}/cmdline`, "utf8")).split("\0").slice(0, -1);
  } catch {
    return [];
  }
}
