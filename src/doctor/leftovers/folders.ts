// SPDX-License-Identifier: Apache-2.0

import { readFile, rm } from "node:fs/promises";
import path from "node:path";
import type { Cancellable } from "../../base/cancellable.ts";
import { isRecord } from "../../base/is-record.ts";
import { silentLogger } from "../../base/logger.ts";
import { fifosBeside, leftFifos } from "../../base/os/left-fifos.ts";
import { unmountBelow } from "../../base/os/mount-table.ts";
import { identify } from "../../base/os/proc.ts";
import { readBounded } from "../../base/read-bounded.ts";
import { shellWord } from "../../base/shell-word.ts";
import { CriPaths } from "../../cri/paths.ts";
import {
  killLeftovers,
  ownCgroups,
  removeCgroups,
  specCgroups,
} from "../../runtime/death/leftover-processes.ts";
import { isDoomed } from "../../trees/tree-remover.ts";
import { type Ground, isYoung, type Leftover } from "./leftover.ts";

const dayMs = 86_400_000;
const mostSpecBytes = 64 * 1024 * 1024;

/** Folders below our own root and state that bear an id nobody knows. */
export async function leftFolders(ground: Ground): Promise<Leftover[]> {
  const { layout, config, host } = ground.patient;
  const found: Leftover[] = [];
  for (const namespace of await host.names(layout.bundles))
    found.push(...(await bundlesOf(ground, namespace)));
  const paths = new CriPaths(config);
  for (const folder of [...paths.sandboxes, paths.containers])
    found.push(...(await foldersOf(ground, folder, "files of")));
  found.push(
    ...(await snapshotsOf(ground)),
    ...(await ingestsOf(ground)),
    ...(await fifosOf(ground)),
  );
  return found;
}

async function bundlesOf(ground: Ground, namespace: string): Promise<Leftover[]> {
  const { layout } = ground.patient;
  const folder = path.join(layout.bundles, namespace);
  const left = await foldersOf(ground, folder, "the bundle of task");
  return left.map(({ id, ...leftover }) => ({
    ...leftover,
    why: "its process, mounts and cgroups may be left as well; a task of that id cannot be made",
    remove: async (call: Cancellable) => {
      await endTask(path.join(folder, id), id, call);
      await rm(path.join(layout.work, namespace, id), { recursive: true, force: true });
    },
  }));
}

/** Ends what is left of a task by its cgroups, whose names end in its id, and removes the bundle with its mounts. */
async function endTask(bundle: string, id: string, { signal }: Cancellable): Promise<void> {
  const place = await cgroupsPathOf(bundle);
  const pid = await pidOf(bundle);
  const own = pid > 0 ? await ownCgroups(pid, id, place) : [];
  const cgroups = [...new Set([...own, ...(await specCgroups(id, place))])];
  await killLeftovers(own.length > 0 ? identify(pid) : undefined, cgroups, signal);
  // What cannot be removed is found by the next look.
  await removeCgroups(cgroups, { log: silentLogger, signal });
  await removeWithMounts(bundle);
}

/** As the shim has written it, or for a sandbox process we ourselves; 0 for none. */
export async function pidOf(bundle: string): Promise<number> {
  const text = async (name: string): Promise<string> =>
    readFile(path.join(bundle, name), "utf8").catch(() => "");
  const [, pid = await text("init.pid")] = /"pid":(\d+)/.exec(await text("process")) ?? [];
  return /^\d+$/.test(pid.trim()) ? Number(pid) : 0;
}

async function cgroupsPathOf(bundle: string): Promise<string> {
  try {
    const text = String(await readBounded(path.join(bundle, "config.json"), mostSpecBytes));
    const spec: unknown = JSON.parse(text);
    const linux = isRecord(spec) ? spec["linux"] : undefined;
    const place = isRecord(linux) ? linux["cgroupsPath"] : undefined;
    return typeof place === "string" && place.startsWith("/") ? place : "";
  } catch {
    return "";
  }
}

async function foldersOf(
  ground: Ground,
  folder: string,
  noun: string,
): Promise<(Leftover & { readonly id: string })[]> {
  const { known, patient } = ground;
  const { host } = patient;
  const found: (Leftover & { readonly id: string })[] = [];
  for (const id of await host.names(folder)) {
    const place = path.join(folder, id);
    if (isDoomed(id)) continue; // the daemon's own removals
    const facts = await host.stat(place);
    if (facts?.isDirectory() !== true || known.ids.has(id) || isYoung(ground, facts.mtimeMs))
      continue;
    found.push({
      id,
      what: `${place}: ${noun} "${id}", which berthd does not know`,
      why: "it takes space, and what is mounted in it keeps layers and volumes busy",
      mend: "",
      remove: () => removeWithMounts(place),
    });
  }
  return found;
}

async function snapshotsOf(ground: Ground): Promise<Leftover[]> {
  const { host, layout } = ground.patient;
  const { snapshots } = ground.known;
  if (snapshots === undefined) return [];
  const folder = path.join(layout.overlayfs, "snapshots");
  const found: Leftover[] = [];
  for (const name of await host.names(folder)) {
    const place = path.join(folder, name);
    if (isDoomed(name)) continue;
    const facts = await host.stat(place);
    if (facts === undefined || isYoung(ground, facts.mtimeMs)) continue;
    if (/^\d+$/.test(name) && snapshots.has(Number(name))) continue;
    found.push({
      what: `${place}: a snapshot that no record names`,
      why: "it takes space; berthd removes it when it starts",
      mend: "systemctl start berthd",
      remove: () => removeWithMounts(place),
    });
  }
  return found;
}

/** Downloads and imports that nobody has gone on with for a day, while no daemon runs. */
async function ingestsOf({ known, nowMs, patient: { host, layout } }: Ground): Promise<Leftover[]> {
  if (known.snapshots === undefined) return [];
  const folder = path.join(layout.content, "ingest");
  const found: Leftover[] = [];
  for (const name of await host.names(folder)) {
    const place = path.join(folder, name);
    const data = await host.stat(path.join(place, "data"));
    if (data === undefined || nowMs - data.mtimeMs < dayMs) continue;
    found.push({
      what: `${place}: ${data.size} bytes of a download that nobody has gone on with for a day`,
      why: "it takes space; berthd removes it when it starts",
      mend: "systemctl start berthd",
      remove: () => removeWithMounts(place),
    });
  }
  return found;
}

/** Of `berth run` and the like: whoever has them open is asked, not berthd. */
async function fifosOf({ patient: { host, socket } }: Ground): Promise<Leftover[]> {
  if (!host.isOurs) return [];
  const found: Leftover[] = [];
  for await (const place of leftFifos(fifosBeside(socket))) {
    found.push({
      what: `${place}: the streams of a berth command that was killed`,
      why: "nobody has them open any more",
      mend: `rm -r ${shellWord(place)}`,
      remove: () => rm(place, { recursive: true, force: true }),
    });
  }
  return found;
}

async function removeWithMounts(folder: string): Promise<void> {
  await unmountBelow(folder);
  await rm(folder, { recursive: true, force: true });
}
