// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { parseCgroups } from "../os/proc-cgroup.ts";

/** How much memory this process and its children may use, and what limits it. */
export interface MemoryLimit {
  readonly bytes: number;
  /** The cgroup's folder that limits it; undefined when only the machine's memory does. */
  readonly cgroup: string | undefined;
  readonly isV2: boolean;
}

export interface MemoryUse {
  /** Charged to the cgroup, without file pages, which the kernel can take back at once. */
  readonly heldBytes: number;
}

type Read = (file: string) => string | undefined;

interface Hierarchy {
  readonly mount: string;
  readonly limitFiles: readonly string[];
  readonly isV2: boolean;
}

const v1: Hierarchy = {
  mount: "/sys/fs/cgroup/memory",
  limitFiles: ["memory.limit_in_bytes"],
  isV2: false,
};
const v2: Hierarchy = {
  mount: "/sys/fs/cgroup",
  // Beyond "high" processes are slowed down until they hardly make progress.
  limitFiles: ["memory.max", "memory.high"],
  isV2: true,
};

/** The least of the machine's memory, the limit of the process's memory cgroup, and those of the cgroups above it. */
export function readMemoryLimit(
  read: Read = readText,
  machineBytes: number = os.totalmem(),
): MemoryLimit {
  let least: MemoryLimit = { bytes: machineBytes, cgroup: undefined, isV2: false };
  for (const { controllers, place } of parseCgroups(read("/proc/self/cgroup") ?? "")) {
    const hierarchy = hierarchyOf(controllers);
    if (hierarchy === undefined) continue;
    for (let at = path.join("/", place); ; at = path.dirname(at)) {
      const folder = path.join(hierarchy.mount, at);
      for (const file of hierarchy.limitFiles) {
        const bytes = bytesIn(read(path.join(folder, file)));
        if (bytes < least.bytes) least = { bytes, cgroup: folder, isV2: hierarchy.isV2 };
      }
      if (at === "/") break;
    }
  }
  return least;
}

/** undefined where no cgroup limits us, or it cannot be read. */
export function readMemoryUse(
  { cgroup, isV2 }: MemoryLimit,
  read: Read = readText,
): MemoryUse | undefined {
  if (cgroup === undefined) return undefined;
  const usage = read(path.join(cgroup, isV2 ? "memory.current" : "memory.usage_in_bytes"));
  const stat = read(path.join(cgroup, "memory.stat"));
  if (usage === undefined || stat === undefined) return undefined;
  const file = isV2
    ? statOf(stat, "inactive_file") + statOf(stat, "active_file")
    : statOf(stat, "total_inactive_file") + statOf(stat, "total_active_file");
  return { heldBytes: Math.max(0, Number(usage) - file) };
}

/** What the cgroup holds, in bytes, without file pages; 0 where that is not known. */
export function heldBytesOf(limit: MemoryLimit): number {
  return readMemoryUse(limit)?.heldBytes ?? 0;
}

function hierarchyOf(controllers: string): Hierarchy | undefined {
  if (controllers === "") return v2;
  return controllers.split(",").includes("memory") ? v1 : undefined;
}

/** "max", and v1's number for it close to 2^63, are no limits. */
function bytesIn(text: string | undefined): number {
  const value = text?.trim() ?? "";
  return /^\d+$/.test(value) ? Number(value) : Number.POSITIVE_INFINITY;
}

function statOf(stat: string, key: string): number {
  return Number(new RegExp(`^${key} (\\d+)$`, "m").exec(stat)?.[1] ?? 0);
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined; // no such hierarchy here, or a path outside our cgroup namespace
  }
}
