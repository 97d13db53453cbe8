// SPDX-License-Identifier: Apache-2.0
import { readFile } from "node:fs/promises";
import { type MountEntry, parseMountinfo } from "../../src/base/os/mountinfo.ts";

/** All mounts that this process sees, in the order they were made. */
export async function allMounts(): Promise<MountEntry[]> {
  return parseMountinfo(await readFile("/proc/self/mountinfo", "utf8"));
}
