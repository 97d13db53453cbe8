// SPDX-License-Identifier: Apache-2.0
import { existsSync } from "node:fs";
import { mkdir, rmdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { cgroupMounts } from "../cgroups.ts";

/** What a kubelet allows a pod, by its containers' limits and its own podPidsLimit. */
export interface PodLimits {
  /** Thousandths of a processor. */
  readonly milliCpu: number;
  readonly memoryBytes: number;
  readonly pids: number;
}

/** The files of both versions; of each hierarchy those that are there are written. */
const files: Readonly<Record<string, (limits: PodLimits) => string>> = {
  "cpu.shares": ({ milliCpu }) => String(Math.ceil((milliCpu * 1024) / 1000)),
  "cpu.cfs_quota_us": ({ milliCpu }) => String(milliCpu * 100),
  "cpu.max": ({ milliCpu }) => `${milliCpu * 100} 100000`,
  "memory.limit_in_bytes": ({ memoryBytes }) => String(memoryBytes),
  "memory.max": ({ memoryBytes }) => String(memoryBytes),
  "pids.max": ({ pids }) => String(pids),
};

/**
 * Makes a pod's cgroup with its limits, as a kubelet does before RunPodSandbox. Disposed, it is removed, which
 * fails where the runtime left something in it.
 */
export async function podCgroup(place: string, limits: PodLimits): Promise<AsyncDisposable> {
  const folders: string[] = [];
  for (const mount of await cgroupMounts()) {
    const folder = path.join(mount, place);
    await mkdir(folder, { recursive: true });
    folders.push(folder);
    const known = Object.entries(files).filter(([name]) => existsSync(path.join(folder, name)));
    for (const [name, value] of known) await writeFile(path.join(folder, name), value(limits));
    // The other hierarchies are the OCI runtime's to make: an empty cpuset, say, takes no process.
    if (known.length === 0) await rmdir(folder);
  }
  return {
    [Symbol.asyncDispose]: async () => {
      for (const folder of folders) {
        await rmdir(folder).catch((error: NodeJS.ErrnoException) => {
          if (error.code !== "ENOENT") throw error;
        });
      }
    },
  };
}
