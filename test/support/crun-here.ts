// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { findProgram } from "./lacking.ts";

const beside = "/sys/fs/cgroup/unified";

/** Whether this host has cgroup v1 and a v2 tree with controllers. */
export function isBesideCgroup2(): boolean {
  try {
    return readFileSync(`${beside}/cgroup.controllers`, "utf8").trim() !== "";
  } catch {
    return false;
  }
}

/**
 * crun, as it can run on this host: it refuses cgroup v1 with a v2 tree beside it that has controllers,
 * so where there is one it does not get to see that tree. A path, of a script in `folder` where that is needed.
 */
export async function crunHere(folder: string): Promise<string> {
  const crun = findProgram("crun") ?? "crun";
  if (!isBesideCgroup2()) return crun;
  const file = path.join(folder, "crun");
  await writeFile(
    file,
    // Other mounts go on being shared with the host: pods may want theirs.
    `#!/bin/sh\nexec unshare -m --propagation unchanged sh -c 'mount --make-rprivate /sys/fs/cgroup && umount ${beside} && exec ${crun} "$@"' crun "$@"\n`,
    { mode: 0o755 },
  );
  return file;
}
