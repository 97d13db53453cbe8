// SPDX-License-Identifier: Apache-2.0
// What other runtimes leave in the same shape as we do: told, and never removed.
import { opendir } from "node:fs/promises";
import path from "node:path";
import { cgroupMounts } from "../../base/os/mount-table.ts";
import { run } from "../../base/process.ts";
import { readStart } from "../../base/read-bounded.ts";
import type { Ground, Leftover } from "./leftover.ts";

/** kubepods, its class, the pod, the container. */
const deepest = 4;
const mostFolders = 20_000;
const idAtEnd = /(?:^|-)([0-9a-f]{64})(?:\.scope)?$/;

/** Empty cgroups of pods, and rules of CNI plugins, with ids that nobody knows. */
export async function foreignTraces(
  ground: Ground,
  recorded: ReadonlySet<string>,
): Promise<Leftover[]> {
  const isKnown = (id: string): boolean => ground.known.ids.has(id) || recorded.has(id);
  return [...(await cgroupsOf(isKnown)), ...(await rulesOf(isKnown))];
}

async function cgroupsOf(isKnown: (id: string) => boolean): Promise<Leftover[]> {
  const ids = new Set<string>();
  const budget = { left: mostFolders };
  for (const { mountPoint } of await cgroupMounts())
    for await (const { id, folder } of podCgroups(mountPoint, 0, budget))
      if (!isKnown(id) && (await isEmpty(folder))) ids.add(id);
  return [...ids].map((id) => ({
    what: `the empty cgroup of "${id}", which berthd does not know`,
    why: "empty cgroups cost the kernel memory and each reader of figures time; nothing shows that it was a pod of berthd's",
    mend: `find /sys/fs/cgroup -depth -type d -name '*${id}*' -exec rmdir {} +`,
    remove: undefined,
  }));
}

interface PodCgroup {
  readonly id: string;
  readonly folder: string;
}

async function* podCgroups(
  folder: string,
  depth: number,
  budget: { left: number },
): AsyncGenerator<PodCgroup> {
  const entries = await opendir(folder).catch(() => undefined); // gone meanwhile
  if (entries === undefined) return;
  for await (const entry of entries) {
    if (!entry.isDirectory() || (depth === 0 && !entry.name.startsWith("kubepods"))) continue;
    budget.left -= 1;
    if (budget.left < 0) return;
    const inner = path.join(folder, entry.name);
    const id = idAtEnd.exec(entry.name)?.[1];
    if (id !== undefined) yield { id, folder: inner };
    else if (depth < deepest) yield* podCgroups(inner, depth + 1, budget);
  }
}

/** Neither processes nor cgroups in it. */
async function isEmpty(folder: string): Promise<boolean> {
  const procs = await readStart(path.join(folder, "cgroup.procs"), 64).catch(() => undefined);
  if (procs === undefined || procs.length > 0) return false;
  for await (const entry of await opendir(folder)) if (entry.isDirectory()) return false;
  return true;
}

async function rulesOf(isKnown: (id: string) => boolean): Promise<Leftover[]> {
  const options = { timeoutMs: 5_000, maxOutputBytes: 64 * 1024 * 1024 };
  const saved = await run("iptables-save", ["-t", "nat"], options).catch(() => undefined);
  const ids = new Set<string>();
  // As CNI's bridge and portmap plugins write it into each rule's comment.
  for (const [, id = ""] of (saved?.stdout.toString() ?? "").matchAll(/id: \\"([0-9a-f]{64})\\"/g))
    if (!isKnown(id)) ids.add(id);
  return [...ids].map((id) => ({
    what: `rules of iptables for "${id}", which berthd does not know`,
    why: "a new pod with the same address or host port may get the old one's traffic; nothing shows that it was a pod of berthd's",
    // Rule by rule: what others add meanwhile stays.
    mend: `(echo '*nat'; iptables-save -t nat | grep ${id} | sed 's/^-A/-D/'; echo COMMIT) | iptables-restore -n`,
    remove: undefined,
  }));
}
