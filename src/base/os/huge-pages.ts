// SPDX-License-Identifier: Apache-2.0
import { readdirSync } from "node:fs";

/** The sizes of huge pages that this host has, as cgroup files spell them: `2MB`. */
export function hugePageSizes(folder = "/sys/kernel/mm/hugepages"): string[] {
  try {
    return readdirSync(folder).flatMap(sizeOf);
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
