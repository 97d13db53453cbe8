// SPDX-License-Identifier: Apache-2.0
import { existsSync } from "node:fs";
import path from "node:path";
import { cleanupDeadline } from "../../base/cancellable.ts";
import type { Logger } from "../../base/logger.ts";
import { unmountBelow } from "../../base/os/mount-table.ts";
import { searchPath } from "../../base/process.ts";
import { isThere } from "../../oci/unseen-program.ts";
import type { Bundle } from "../bundle/bundle.ts";
import { specCgroupsPath } from "./dead-task.ts";
import { killLeftovers, removeCgroups, specCgroups } from "./leftover-processes.ts";
import { dropRuntimeState, runtimePlace } from "./runtime-state.ts";

/** Whether the OCI runtime that a task was made with is not there any more, as when its package was removed. */
export async function isRuntimeGone(bundle: Bundle): Promise<boolean> {
  const { program } = await runtimePlace(bundle);
  if (path.isAbsolute(program)) return !isThere(program);
  return !searchPath().some((folder) => existsSync(path.join(folder, program)));
}

/**
 * Clears away what a container has whose init has ended and whose OCI runtime is gone: what runs in its cgroups, those,
 * its mounts, and what the OCI runtime knew of it. Rejects only when even that cannot be looked at.
 */
export async function clearWithoutRuntime(bundle: Bundle, log: Logger): Promise<void> {
  const signal = cleanupDeadline();
  const cgroups = await specCgroups(bundle.id, await specCgroupsPath(bundle));
  await killLeftovers(undefined, cgroups, signal);
  await removeCgroups(cgroups, { log, signal });
  await unmountBelow(bundle.rootfs);
  await dropRuntimeState(bundle, log);
}
