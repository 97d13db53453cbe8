// SPDX-License-Identifier: Apache-2.0
import { readFile } from "node:fs/promises";
import { type MountEntry, parseMountinfo } from "../../src/base/os/mountinfo.ts";

/** All mounts that a process sees, this one unless another is named, in the order they were made. */
export async function allMounts(pid: number | "self" = "self"): Promise<MountEntry[]> {
  return parseMountinfo(await readFile(`/proc/${pid}/mountinfo`, "utf8"));
}

/** Mount points below a folder, in mount order. */
export async function mountsBelow(
  folder: string,
  pid: number | "self" = "self",
): Promise<string[]> {
  const points = (await allMounts(pid)).map(({ mountPoint }) => mountPoint);
  return points.filter((point) => point.startsWith(`${folder}/`));
}
