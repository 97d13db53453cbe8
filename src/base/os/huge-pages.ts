// SPDX-License-Identifier: Apache-2.0
import { readdir } from "node:fs/promises";

/** The sizes of huge pages that this host has, as cgroup files spell them: `2MB`. */
export async function hugePageSizes(folder = "/sys/kernel/mm/hugepages"): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  return names.flatMap(sizeOf);
}

/** `hugepages-2048kB` → 2MB. */
function sizeOf(name: string): string[] {
  const kib = Number(/^hugepages-(\d+)kB$/.exec(name)?.[1] ?? 0);
  if (kib === 0) return [];
  if (kib >= 1024 * 1024) return [`${kib / (1024 * 1024)}GB`];
  return [kib >= 1024 ? `${kib / 1024}MB` : `${kib}KB`];
}
