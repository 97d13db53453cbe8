// SPDX-License-Identifier: Apache-2.0
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { sleep } from "../../base/timers.ts";

/** The file of cgroup v1's freezer and of v2's, and what stops and releases a cgroup by it. */
const files = [
  { name: "freezer.state", frozen: "FROZEN", thawed: "THAWED" },
  { name: "cgroup.freeze", frozen: "1", thawed: "0" },
] as const;
const looks = 100;
const lookMs = 10;

/**
 * Freezes or thaws a container's cgroups, whatever shim and OCI runtime believe of them. A folder has the one file or the
 * other by the cgroup's version, or none: other controllers' of v1. One that is gone is no error.
 */
export async function setFrozen(folders: readonly string[], isFrozen: boolean): Promise<void> {
  await Promise.all(
    folders.flatMap((folder) =>
      files.map(({ name, frozen, thawed }) =>
        writeFile(path.join(folder, name), isFrozen ? frozen : thawed, { flag: "r+" }).catch(
          () => {},
        ),
      ),
    ),
  );
  if (isFrozen) await Promise.all(folders.map(untilFrozen));
}

/** With v1 a cgroup may be "FREEZING" for a while. */
async function untilFrozen(folder: string): Promise<void> {
  for (let look = 0; look < looks; look += 1) {
    const state = await readFile(path.join(folder, "freezer.state"), "utf8").catch(() => "");
    if (state.trim() !== "FREEZING") return;
    await sleep(lookMs);
  }
}
