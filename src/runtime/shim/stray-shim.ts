// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import { identify, killProcess } from "../../base/os/proc.ts";
import { argumentsOf, processesBelow } from "../../base/os/process-scan.ts";

export interface ShimSearch {
  /** Path of the shim's program; "" for any. */
  readonly binary: string;
  readonly namespace: string;
  /** Ids one of which the shim was started with. */
  readonly ids: readonly string[];
  readonly grpcAddress: string;
  /** Where all bundles of this daemon are: a shim works in its own. */
  readonly bundles: string;
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
 * nothing is found. Answers the pids. For failures only: it goes through all of /proc.
 */
export async function killStrayShims(search: ShimSearch): Promise<number[]> {
  const killed = await killShims(search, (argv) => isShimOf(argv, search));
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
  return killShims(search, (argv) => {
    const { address, namespace, id } = flagsOf(argv);
    return address === search.grpcAddress && !search.hasBundle(namespace, id);
  });
}

type Scope = Pick<ShimSearch, "bundles" | "spared">;
type IsWanted = (argv: readonly string[]) => boolean;

async function killShims(scope: Scope, isWanted: IsWanted): Promise<StrayShim[]> {
  const all: StrayShim[] = [];
  for (let round = 0; round < most; round += 1) {
    const killed = await killOnce(scope, isWanted);
    if (killed.length === 0) break;
    all.push(...killed);
  }
  return all;
}

async function killOnce({ bundles, spared }: Scope, isWanted: IsWanted): Promise<StrayShim[]> {
  const killed: StrayShim[] = [];
  for (const { pid } of await processesBelow(bundles, "cwd")) {
    const process = spared.has(pid) ? undefined : identify(pid);
    if (process === undefined) continue;
    const argv = await argumentsOf(process);
    if (!isWanted(argv) || !killProcess(process, "SIGKILL")) continue;
    const { namespace, id } = flagsOf(argv);
    killed.push({ pid, namespace, id });
  }
  return killed;
}

/** Exported for tests: whether a command line is that of a shim looked for. */
export function isShimOf(
  argv: readonly string[],
  search: Omit<ShimSearch, "spared" | "bundles">,
): boolean {
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
