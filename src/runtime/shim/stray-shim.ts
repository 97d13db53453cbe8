// SPDX-License-Identifier: Apache-2.0
import { readdir, readFile, readlink } from "node:fs/promises";
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

/** A shim that was killed, as its command line named it. */
export interface StrayShim {
  readonly pid: number;
  readonly namespace: string;
  readonly id: string;
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
  const killed = await killShims(search.spared, (argv) => isShimOf(argv, search));
  return killed.map(({ pid }) => pid);
}

export interface BundlelessSearch {
  readonly grpcAddress: string;
  /** Where all bundles of this daemon are: a shim works in its own. */
  readonly bundles: string;
  readonly spared: ReadonlySet<number>;
  hasBundle(namespace: string, id: string): boolean;
}

/**
 * Kills shims of ours whose bundle is gone: the daemon died after it had removed a last task's
 * bundle, and before the shim had ended. Nothing on disk tells of them, and no task is left in them.
 */
export async function killShimsWithoutBundle(search: BundlelessSearch): Promise<StrayShim[]> {
  return killShims(search.spared, async (argv, pid) => {
    const { address, namespace, id } = flagsOf(argv);
    if (address !== search.grpcAddress || search.hasBundle(namespace, id)) return false;
    return (await workingFolder(pid)).startsWith(`${search.bundles}/`);
  });
}

type IsWanted = (argv: readonly string[], pid: number) => boolean | Promise<boolean>;

async function killShims(spared: ReadonlySet<number>, isWanted: IsWanted): Promise<StrayShim[]> {
  const all: StrayShim[] = [];
  for (let round = 0; round < most; round += 1) {
    const killed = await killOnce(spared, isWanted);
    if (killed.length === 0) break;
    all.push(...killed);
  }
  return all;
}

async function killOnce(spared: ReadonlySet<number>, isWanted: IsWanted): Promise<StrayShim[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
  const killed = await Promise.all(
    pids.map(async (pid) => {
      const process = identify(pid);
      if (process === undefined || spared.has(pid)) return [];
      const argv = await argvOf(pid);
      if (!(await isWanted(argv, pid)) || !killProcess(process, "SIGKILL")) return [];
      const { namespace, id } = flagsOf(argv);
      return [{ pid, namespace, id }];
    }),
  );
  return killed.flat();
}

/** Exported for tests: whether a command line is that of a shim looked for. */
export function isShimOf(argv: readonly string[], search: Omit<ShimSearch, "spared">): boolean {
  const program = argv[0] ?? "";
  if (search.binary !== "" && path.basename(program) !== path.basename(search.binary)) return false;
  const { address, namespace, id } = flagsOf(argv);
  return (
    namespace === search.namespace &&
    address === search.grpcAddress &&
    search.ids.includes(id) &&
    argv.at(-1) !== "delete"
  );
}

function flagsOf(argv: readonly string[]): { address: string; namespace: string; id: string } {
  const value = (flag: string): string => {
    const at = argv.indexOf(flag);
    return at < 0 ? "" : (argv[at + 1] ?? "");
  };
  return { address: value("-address"), namespace: value("-namespace"), id: value("-id") };
}

async function argvOf(pid: number): Promise<string[]> {
  try {
    return (await readFile(`/proc/${pid}/cmdline`, "utf8")).split("\0").slice(0, -1);
  } catch {
    return [];
  }
}

async function workingFolder(pid: number): Promise<string> {
  try {
    return await readlink(`/proc/${pid}/cwd`);
  } catch {
    return "";
  }
}
