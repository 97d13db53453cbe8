// SPDX-License-Identifier: Apache-2.0
import { readdir, rmdir } from "node:fs/promises";
import path from "node:path";
import { allMounts } from "./mounts.ts";

/** Where cgroups are mounted: one folder a controller on v1, one in all on v2. */
export async function cgroupMounts(): Promise<string[]> {
  const mounts = await allMounts();
  return mounts
    .filter(({ type }) => type === "cgroup" || type === "cgroup2")
    .map(({ mountPoint }) => mountPoint);
}

/** Every cgroup below `parent` (not itself), deepest first, as absolute paths. */
export async function cgroupsBelow(parent: string): Promise<string[]> {
  const found: string[] = [];
  for (const mount of await cgroupMounts()) await walk(path.join(mount, parent), found);
  return found;
}

async function walk(folder: string, found: string[]): Promise<void> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  for (const entry of entries) {
    if (!entry.isDirectory()) continue;
    const child = path.join(folder, entry.name);
    await walk(child, found);
    found.push(child);
  }
}

/** Removes `parent` and what is below it, where it is empty. */
export async function removeCgroups(parent: string): Promise<void> {
  for (const folder of await cgroupsBelow(parent)) await rmdir(folder).catch(() => {});
  for (const mount of await cgroupMounts()) await rmdir(path.join(mount, parent)).catch(() => {});
}
