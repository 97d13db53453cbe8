// SPDX-License-Identifier: Apache-2.0
import type { Stats } from "node:fs";
import { lstat } from "node:fs/promises";
import path from "node:path";
import { errnoOf, fault } from "../../base/errors.ts";
import { isWhiteout, overlayFolders } from "../../base/os/overlay.ts";
import type { TypesMountInit } from "../../gen/types.gen.ts";

/** Where an OCI runtime mounts the kernel's file systems and makes the first devices and links. */
const places = ["dev", "proc", "sys"];

/**
 * FAILED_PRECONDITION when one of these is no folder in a root file system that is about to be mounted.
 * runc before 1.3.6 makes the links of /dev before it enters the root: where an image has a link in the
 * place of /dev, they come to lie wherever on the host it leads (CVE-2026-41579). No image needs one there.
 */
export async function checkKernelPlaces(
  id: string,
  mounts: readonly TypesMountInit[],
): Promise<void> {
  const folders = mounts.flatMap(foldersOf);
  const check = async (place: string): Promise<void> => {
    const found = await topmost(folders, place);
    if (found === undefined || found.isDirectory()) return;
    const what = found.isSymbolicLink() ? "a symbolic link" : "no folder";
    throw fault(
      "FAILED_PRECONDITION",
      `cannot create task "${id}": /${place} of its root file system is ${what}`,
    );
  };
  await Promise.all(places.map(check));
}

/** What a mount shows, topmost first: an overlay's layers, or the one folder of a bind mount. */
function foldersOf({ type, source, options }: TypesMountInit): string[] {
  const overlay = overlayFolders({ type: type ?? "", options: options ?? [] });
  if (overlay === undefined) return source?.startsWith("/") === true ? [source] : [];
  const { upper, lowers } = overlay;
  return upper === undefined ? [...lowers] : [upper, ...lowers];
}

/** As overlayfs shows a name of the root: the topmost layer that has it tells its kind. */
async function topmost(folders: readonly string[], name: string): Promise<Stats | undefined> {
  for (const folder of folders) {
    const found = await statOf(path.join(folder, name));
    if (found === undefined) continue;
    return isWhiteout(found) ? undefined : found;
  }
  return undefined;
}

async function statOf(file: string): Promise<Stats | undefined> {
  try {
    return await lstat(file);
  } catch (error) {
    if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENOTDIR") return undefined;
    throw error;
  }
}
