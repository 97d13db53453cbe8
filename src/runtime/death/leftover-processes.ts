// SPDX-License-Identifier: Apache-2.0

import { existsSync } from "node:fs";
import { open, readFile, rmdir, writeFile } from "node:fs/promises";
import path from "node:path";
import type { Cancellable } from "../../base/cancellable.ts";
import { errnoOf } from "../../base/errors.ts";
import type { Logger } from "../../base/logger.ts";
import { cgroupMounts } from "../../base/os/mount-table.ts";
import { killProcess, livingThread, type ProcessIdentity } from "../../base/os/proc.ts";
import { parseCgroups } from "../../base/os/proc-cgroup.ts";
import { readStart } from "../../base/read-bounded.ts";
import { sleep } from "../../base/timers.ts";
import { inSlices, killBelow, removeBelow } from "./cgroup-walk.ts";

/**
 * The cgroup folders that belong to a container alone, as seen from its init. A path counts only when
 * its last part carries the container's id (cgroupfs: `…/ID`, systemd: `…-ID.scope`) or is the one
 * its spec names: killing everything in a shared cgroup would take the pod, or us, along.
 */
export async function ownCgroups(
  pid: number,
  id: string,
  specPath: string,
): Promise<readonly string[]> {
  // Of a thread that has ended v1 says that it is in no cgroup: of init's first one perhaps, while others of it live.
  const thread = threadOf(pid);
  return ownFolders(`/proc/${pid}${thread === pid ? "" : `/task/${thread}`}`, id, specPath);
}

/** One that lives; the first one where none does, or that cannot be told. */
function threadOf(pid: number): number {
  try {
    return livingThread(pid) ?? pid;
  } catch {
    return pid;
  }
}

async function ownFolders(
  process: string,
  id: string,
  specPath: string,
): Promise<readonly string[]> {
  let text: string;
  try {
    text = await readFile(`${process}/cgroup`, "utf8");
  } catch {
    return [];
  }
  const mounts = await cgroupMounts();
  const folders: string[] = [];
  for (const { controllers, place } of parseCgroups(text)) {
    if (!isOwn(place, id, specPath)) continue;
    const mount = mounts.find((entry) =>
      controllers === ""
        ? entry.type === "cgroup2"
        : controllers.split(",").every((name) => entry.superOptions.includes(name)),
    );
    if (mount !== undefined)
      folders.push(path.join(mount.mountPoint, path.relative(mount.root, place)));
  }
  return folders;
}

/**
 * The cgroup folders that a container's spec asks for and that exist, in every hierarchy; for one of
 * which no process is known, since its making was cut short. Only a path that ends in the container's
 * id is taken for its own.
 */
export async function specCgroups(id: string, specPath: string): Promise<readonly string[]> {
  const place = specPath === "" ? `/${id}` : specPath;
  if (!place.startsWith("/") || path.basename(place) !== id) return [];
  const mounts = await cgroupMounts();
  return mounts
    .map((mount) => path.join(mount.mountPoint, path.relative(mount.root, place)))
    .filter((folder) => existsSync(folder));
}

/** How long what has died may hold its cgroups: on a busy machine it waits for its turn to be gone. */
const usualBusyMs = 5_000;

export interface RemoveOptions extends Cancellable {
  readonly log: Logger;
  readonly busyMs?: number;
}

/**
 * Removes the folders of cgroups in which nothing runs any more, and those below. The OCI runtime does
 * so itself, unless it was killed before it had noted that the container exists.
 */
export async function removeCgroups(
  folders: readonly string[],
  { log, signal, busyMs = usualBusyMs }: RemoveOptions,
): Promise<void> {
  const endAt = performance.now() + busyMs;
  for (const folder of folders) {
    try {
      await removeCgroup(folder, { endAt, signal });
    } catch (err) {
      if (errnoOf(err) !== "ENOENT") log.warn({ err, folder }, "cgroup was not removed");
    }
  }
}

async function removeCgroup(
  folder: string,
  { endAt, signal }: Cancellable & { readonly endAt: number },
): Promise<void> {
  for (let delayMs = 1; ; delayMs = Math.min(delayMs * 2, 100)) {
    try {
      await inSlices(removeBelow(folder), { signal });
      return await rmdir(folder);
    } catch (error) {
      if (errnoOf(error) !== "EBUSY" || signal.aborted || performance.now() > endAt) throw error;
    }
    await sleep(delayMs, { signal });
  }
}

/**
 * Kills what still runs in these cgroups and below, and `init`, until nothing does or the signal fires. What
 * forks faster than it is killed is stopped first: cgroup v2 kills all at once, with v1 they are frozen.
 * Frozen ones are thawed at the end, whatever happens: with v1 a frozen process does not even die of SIGKILL.
 */
export async function killLeftovers(
  init: ProcessIdentity | undefined,
  cgroups: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  for (let delayMs = 1; !signal.aborted; delayMs = Math.min(delayMs * 2, 50)) {
    const since = performance.now();
    let left = init !== undefined && killProcess(init, "SIGKILL") ? 1 : 0;
    try {
      await Promise.all(cgroups.map(freeze));
      for (const folder of cgroups) left += await killAll(folder, { signal });
      const isAgain = delayMs > 1;
      if (left > 0 && isAgain)
        for (const folder of cgroups) await freeFromQuota(folder, { signal });
    } finally {
      await Promise.all(cgroups.map(thaw));
    }
    if (left === 0) return;
    // What does not die keeps a fifth of the main thread busy at most, however much it is.
    await sleep(Math.max(delayMs, 4 * (performance.now() - since)));
  }
}

/** Answers how many there were, about: 0 means none. */
async function killAll(folder: string, call: Cancellable): Promise<number> {
  if (await isWritten(folder, "cgroup.kill", "1")) {
    const events = await readFile(path.join(folder, "cgroup.events"), "utf8").catch(() => "");
    return /^populated 1$/m.test(events) ? 1 : 0;
  }
  try {
    return await inSlices(killBelow(folder), call);
  } catch (error) {
    if (call.signal.aborted || errnoOf(error) === "ENOENT") return 0;
    throw error;
  }
}

function isOwn(place: string, id: string, specPath: string): boolean {
  const last = path.basename(place);
  if (place === "/" || last === "") return false;
  return (
    last === id || last.endsWith(`-${id}.scope`) || (specPath.startsWith("/") && place === specPath)
  );
}

/** v1 only; all below freeze with it. One that is not quite frozen in time is looked at again. */
async function freeze(folder: string): Promise<void> {
  if (!(await isWritten(folder, "freezer.state", "FROZEN"))) return;
  for (let waits = 0; waits < 10; waits += 1) {
    const state = await readFile(path.join(folder, "freezer.state"), "utf8").catch(() => "");
    if (state.trim() !== "FREEZING") return;
    await sleep(1);
  }
}

/** How many processes of a cgroup are taken out of its quota in one go. */
const freedAtOnce = 4096;

/**
 * v1 only: moves what was killed to where no quota of the pod holds. Thousands of processes that share half a
 * processor, and each reclaim the memory that the others need, take hours to die. In its other cgroups a process stays,
 * and its children there with it: they are killed in the next round.
 */
async function freeFromQuota(folder: string, { signal }: Cancellable): Promise<void> {
  let root = folder;
  while (existsSync(path.join(root, "cpu.cfs_quota_us"))) root = path.dirname(root);
  if (root === folder) return;
  const pids = await readStart(path.join(folder, "cgroup.procs"), freedAtOnce * 8).catch(() => "");
  try {
    await using place = await open(path.join(root, "cgroup.procs"), "r+");
    for (const pid of pids.toString().split("\n").slice(0, -1)) {
      signal.throwIfAborted();
      await place.write(pid).catch(() => {}); // gone meanwhile
    }
  } catch {
    // The signal fired, or there is no such file.
  }
}

/** The one file or the other is there, by the cgroup's version, or none: other controllers' folders of v1. */
async function thaw(folder: string): Promise<void> {
  await isWritten(folder, "freezer.state", "THAWED");
  await isWritten(folder, "cgroup.freeze", "0");
}

async function isWritten(folder: string, name: string, value: string): Promise<boolean> {
  try {
    await writeFile(path.join(folder, name), value, { flag: "r+" });
    return true;
  } catch {
    return false;
  }
}
