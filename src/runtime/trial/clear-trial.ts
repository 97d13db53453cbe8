// SPDX-License-Identifier: Apache-2.0
import { readdir } from "node:fs/promises";
import path from "node:path";
import { cleanupDeadline } from "../../base/cancellable.ts";
import type { Logger } from "../../base/logger.ts";
import { unmountBelow } from "../../base/os/mount-table.ts";
import { identify } from "../../base/os/proc.ts";
import { readBounded } from "../../base/read-bounded.ts";
import { removeFolderSync } from "../../base/remove-folder.ts";
import {
  killLeftovers,
  ownCgroups,
  removeCgroups,
  specCgroups,
} from "../death/leftover-processes.ts";

export const pidFileName = "init.pid";

/** Ends and removes what is left of a trial: its process, cgroups, mounts and files. Never rejects. */
export async function clearTrial(folder: string, id: string, log: Logger): Promise<void> {
  const home = path.join(folder, id);
  const signal = cleanupDeadline();
  try {
    const pid = Number(await readBounded(path.join(home, pidFileName), 32).catch(() => ""));
    // A pid of an earlier boot is another's by now: its cgroups tell.
    const own = pid > 0 ? await ownCgroups(pid, id, "") : [];
    const cgroups = [...new Set([...own, ...(await specCgroups(id, ""))])];
    await killLeftovers(own.length > 0 ? identify(pid) : undefined, cgroups, signal);
    await removeCgroups(cgroups, { log, signal });
    await unmountBelow(home);
    removeFolderSync(home);
  } catch (err) {
    log.warn({ err, folder: home }, "what is left of a trial of an OCI runtime was not removed");
  }
}

/** The same for trials of a daemon that was killed. */
export async function clearTrials(folder: string, log: Logger): Promise<void> {
  for (const id of await readdir(folder).catch(() => [])) await clearTrial(folder, id, log);
}
