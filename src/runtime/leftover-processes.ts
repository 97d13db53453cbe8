// SPDX-License-Identifier: Apache-2.0

import { existsSync } from "node:fs";
import { readdir, readFile, rmdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { errnoOf } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import { readMountinfo } from "../base/os/mountinfo.ts";
import { identify, killProcess, type ProcessIdentity } from "../base/os/proc.ts";
import { sleep } from "../base/timers.ts";

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
  let text: string;
  try {
    text = await readFile(`/proc/${pid}/cgroup`, "utf8");
  } catch {
    return [];
  }
  const mounts = (await readMountinfo()).filter((entry) => entry.type.startsWith("cgroup"));
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
  const mounts = (await readMountinfo()).filter((entry) => entry.type.startsWith("cgroup"));
  return mounts
    .map((mount) => path.join(mount.mountPoint, path.relative(mount.root, place)))
    .filter((folder) => existsSync(folder));
}

/**
 * Removes the folders of cgroups in which nothing runs any more, and those below. The OCI runtime does
 * so itself, unless it was killed before it had noted that the container exists.
 */
export async function removeCgroups(folders: readonly string[], log: Logger): Promise<void> {
  for (const folder of folders) {
    try {
      await removeTree(folder);
    } catch (err) {
      if (errnoOf(err) !== "ENOENT") log.warn({ err, folder }, "cgroup was not removed");
    }
  }
}

async function removeTree(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) await removeTree(path.join(folder, entry.name));
  }
  await rmdir(folder);
}

/**
 * Kills what still runs in these cgroups, and `init`, until nothing does or the signal fires. Frozen
 * ones are thawed: with cgroup v1 a frozen process does not even die of SIGKILL.
 */
export async function killLeftovers(
  init: ProcessIdentity | undefined,
  cgroups: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  for (let delayMs = 1; !signal.aborted; delayMs = Math.min(delayMs * 2, 50)) {
    const members = (await Promise.all(cgroups.map(membersOf))).flat();
    const alive = [init, ...members.map(identify)].filter((each) => each !== undefined);
    const killed = alive.filter((each) => killProcess(each, "SIGKILL"));
    if (killed.length === 0) return;
    await Promise.all(cgroups.map(thaw));
    await sleep(delayMs);
  }
}

/** Lines of /proc/PID/cgroup: `4:memory:/a/b` (v1), `1:name=systemd:/…`, `0::/a/b` (v2). */
export function parseCgroups(text: string): { controllers: string; place: string }[] {
  return text
    .split("\n")
    .map((line) => /^\d+:([^:]*):(.+)$/.exec(line))
    .filter((match) => match !== null)
    .map((match) => ({ controllers: match[1] ?? "", place: match[2] ?? "" }));
}

function isOwn(place: string, id: string, specPath: string): boolean {
  const last = path.basename(place);
  if (place === "/" || last === "") return false;
  return (
    last === id || last.endsWith(`-${id}.scope`) || (specPath.startsWith("/") && place === specPath)
  );
}

/** The one file or the other is there, by the cgroup's version, or none: other controllers' folders of v1. */
async function thaw(folder: string): Promise<void> {
  for (const [name, value] of [
    ["freezer.state", "THAWED"],
    ["cgroup.freeze", "0"],
  ] as const) {
    await writeFile(path.join(folder, name), value, { flag: "r+" }).catch(() => {});
  }
}

async function membersOf(folder: string): Promise<number[]> {
  try {
    const text = await readFile(path.join(folder, "cgroup.procs"), "utf8");
    return text.split("\n").filter(Boolean).map(Number);
  } catch {
    return [];
  }
}
