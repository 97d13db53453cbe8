// SPDX-License-Identifier: Apache-2.0
import { readdirSync } from "node:fs";
import { readdir } from "node:fs/promises";

const hostFolder = "/sys/kernel/mm/hugepages";

/** The sizes of huge pages that this host has, as cgroup files spell them: `2MB`. */
export async function hugePageSizes(folder = hostFolder): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  return names.flatMap(sizeOf);
}

/** The same, on a thread that may wait. */
export function hugePageSizesSync(): string[] {
  try {
    return readdirSync(hostFolder).flatMap(sizeOf);
  } catch {
    return [];
  }
}

/** `hugepages-2048kB` → 2MB. */
function sizeOf(name: string): string[] {
  const kib = Number(/^hugepages-(\d+)kB$/.exec(name)?.[1] ?? 0);
  if (kib === 0) return [];
  if (kib >= 1024 * 1024) return [`${kib / (1024 * 1024)}GB`];
  return [kib >= 1024 ? `${kib / 1024}MB` : `${kib}KB`];
}
