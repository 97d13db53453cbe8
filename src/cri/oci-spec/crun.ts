// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import type { RuntimeHandlerConfig } from "../../config/config.ts";

/** What a spec has for crun, where that would do otherwise than runc with the same. */

type OfRuntime = Pick<RuntimeHandlerConfig, "binaryName" | "systemdCgroup">;

function isCrun({ binaryName }: Pick<OfRuntime, "binaryName">): boolean {
  return path.posix.basename(binaryName) === "crun";
}

/**
 * With systemd and cgroup v2 crun moves a container to a cgroup below its scope's, `container`, unless it is told to
 * leave it where runc does, and where node agents look for it.
 */
export function crunAnnotations(handler: OfRuntime): Record<string, string> {
  return isCrun(handler) && handler.systemdCgroup ? { "run.oci.systemd.subgroup": "" } : {};
}

/** crun takes a score of 0 for none, and leaves the process with its shim's, which may be that of a daemon. */
export function heededOomScore(score: number, handler: Pick<OfRuntime, "binaryName">): number {
  return score === 0 && isCrun(handler) ? 1 : score;
}
