// SPDX-License-Identifier: Apache-2.0
// What other runtimes leave in the same shape as we do: told, and never removed.
import { opendir } from "node:fs/promises";
import path from "node:path";
import { cgroupMounts } from "../../base/os/mount-table.ts";
import { run } from "../../base/process.ts";
import { readStart } from "../../base/read-bounded.ts";
import type { Leftover } from "./leftover.ts";

/** kubepods, its class, the pod, the container. */
const deepest = 4;
const mostFolders = 20_000;
/** A command line that can still be read. */
export const mostMended = 20;
const idAtEnd = /(?:^|-)([0-9a-f]{64})(?:\.scope)?$/;

/** Empty cgroups of pods, and rules of CNI plugins, with ids that nobody knows. */
export async function foreignTraces(isKnown: (id: string) => boolean): Promise<Leftover[]> {
  return [...(await cgroupsOf(isKnown)), ...(await rulesOf(isKnown))];
}

async function cgroupsOf(isKnown: (id: string) => boolean): Promise<Leftover[]> {
  const ids = new Set<string>();
  const budget = { left: mostFolders };
  for (const { mountPoint } of await cgroupMounts())
    for await (const { id, folder } of podCgroups(mountPoint, 0, budget))
      if (!isKnown(id) && (await isEmpty(folder))) ids.add(id);
  const names = [...ids].slice(0, mostMended).map((id) => `-name '*${id}*'`);
  return grouped([...ids], {
    what: (some) => `empty cgroups of pods that berthd does not know: ${some}`,
    why: "empty cgroups cost the kernel memory and each reader of figures time; nothing shows that they were pods of berthd's",
    mend: `find /sys/fs/cgroup -depth -type d \\( ${names.join(" -o ")} \\) -exec rmdir {} +`,
  });
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
  return grouped([...ids], {
    what: (some) => `rules of iptables for pods that berthd does not know: ${some}`,
    why: "a new pod with the same address or host port may get the old one's traffic; nothing shows that they were pods of berthd's",
    mend: `iptables-save -t nat | awk '${withoutPods([...ids].slice(0, mostMended))}' | iptables-restore -n`,
  });
}

/** Rule by rule, so that what others add meanwhile stays; then the chains that CNI plugins make for one pod each. */
function withoutPods(ids: readonly string[]): string {
  return [
    `function own(c) { return c ~ /^CNI-(DN-)?[0-9a-f]+$/ }`,
    `/^-A/ && /${ids.join("|")}/ { rule[++n] = $0; if (own($2)) chain[$2]; if (own($NF)) chain[$NF] }`,
    `END { print "*nat"`,
    `for (i = 1; i <= n; i++) { split(rule[i], w, " "); if (!(w[2] in chain)) { sub(/^-A/, "-D", rule[i]); print rule[i] } }`,
    `for (c in chain) print "-F " c`,
    `for (c in chain) print "-X " c`,
    `print "COMMIT" }`,
  ].join("; ");
}

/** One thing to tell of any number of its kind, which are only told. */
export function grouped(
  found: readonly string[],
  { what, why, mend }: { what: (some: string) => string; why: string; mend: string },
): Leftover[] {
  if (found.length === 0) return [];
  const more = found.length > 3 ? ", ..." : "";
  const again = found.length > mostMended ? "; berth doctor --only leftovers # for the others" : "";
  const some = `${found.length} (${found.slice(0, 3).join(", ")}${more})`;
  return [{ what: what(some), why, mend: `${mend}${again}`, remove: undefined }];
}
