// SPDX-License-Identifier: Apache-2.0
import { hugePageSizes } from "../../base/os/huge-pages.ts";
import { FlatFile, readCgroupFile } from "./cgroup-files.ts";
import type { CgroupPaths } from "./cgroup-layout.ts";
import type { CgroupSample, CgroupUsage } from "./cgroup-sample.ts";
import { readCgroupV1, readUsageV1 } from "./cgroup-v1.ts";
import { readCgroupV2, readUsageV2 } from "./cgroup-v2.ts";

/** Read once, of the host: a cgroup's folder has them too, but may hold any number of cgroups that its container made. */
let sizesOfHost: readonly string[] | undefined;

/**
 * Reads a cgroup's files in one pass, without its shim, on a thread that may wait; undefined when the cgroup is gone.
 * `pageSizes` are those of the huge pages there may be; the host's unless a test has others.
 */
export function readCgroupSample(
  paths: CgroupPaths,
  pageSizes?: readonly string[],
): CgroupSample | undefined {
  const sizes = pageSizes ?? (sizesOfHost ??= hugePageSizes());
  return paths.version === 2
    ? readCgroupV2(paths.folder, sizes)
    : readCgroupV1(paths.folders, sizes);
}

/**
 * As readCgroupSample, only what CRI's stats tell: kubelets ask for it of all pods every ten seconds, and each file of a
 * cgroup costs four system calls.
 */
export function readCgroupUsage(paths: CgroupPaths): CgroupUsage | undefined {
  return paths.version === 2 ? readUsageV2(paths.folder) : readUsageV1(paths.folders);
}

/**
 * How many processes of the cgroup the kernel has killed for want of memory; undefined when it is
 * gone or not counted. Read after an exit and before the task is deleted, which removes the cgroup.
 */
export async function oomKills(paths: CgroupPaths): Promise<bigint | undefined> {
  const folder = paths.version === 2 ? paths.folder : paths.folders["memory"];
  if (folder === undefined) return undefined;
  const file = paths.version === 2 ? "memory.events" : "memory.oom_control";
  return new FlatFile(await readCgroupFile(folder, file)).find("oom_kill");
}

/**
 * What a cgroup and those below hold of memory that the kernel cannot drop: anonymous and shared
 * memory, no page cache. undefined when the cgroup is gone or not counted.
 */
export async function memoryInUse(paths: CgroupPaths): Promise<bigint | undefined> {
  const folder = paths.version === 2 ? paths.folder : paths.folders["memory"];
  if (folder === undefined) return undefined;
  const stat = new FlatFile(await readCgroupFile(folder, "memory.stat"));
  const anonymous = stat.find(paths.version === 2 ? "anon" : "total_rss");
  if (anonymous === undefined) return undefined;
  return anonymous + stat.get(paths.version === 2 ? "shmem" : "total_shmem");
}
