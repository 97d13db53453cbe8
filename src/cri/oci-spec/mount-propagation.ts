// SPDX-License-Identifier: Apache-2.0

import { invalid } from "../../base/invalid-field.ts";
import type { HoldingMounts } from "../../base/os/mount-table.ts";
import type { MountPropagation } from "../../gen/cri.gen.ts";

export type PropagationFlag = "rprivate" | "rslave" | "rshared";

/** How the runtime spec spells a CRI propagation. */
export const propagationFlags: Readonly<Record<MountPropagation, PropagationFlag>> = {
  PROPAGATION_PRIVATE: "rprivate",
  PROPAGATION_HOST_TO_CONTAINER: "rslave",
  PROPAGATION_BIDIRECTIONAL: "rshared",
};

/**
 * The mount option for a CRI propagation. Events can only travel when the host's mount under the
 * source is shared (both ways) or at least a slave (host to container); otherwise runc would make a
 * mount that silently never propagates.
 */
export function propagationFlag(
  propagation: MountPropagation,
  source: string,
  mounts: HoldingMounts,
  field: string,
): PropagationFlag {
  switch (propagation) {
    case "PROPAGATION_PRIVATE":
      return "rprivate";
    case "PROPAGATION_HOST_TO_CONTAINER":
      if (isShared(source, mounts) || isSlave(source, mounts)) return "rslave";
      throw invalid(`${field}.propagation`, notPropagating(source, mounts, "a shared or slave"));
    case "PROPAGATION_BIDIRECTIONAL":
      if (isShared(source, mounts)) return "rshared";
      throw invalid(`${field}.propagation`, notPropagating(source, mounts, "a shared"));
    default:
      throw invalid(`${field}.propagation`, `unknown value "${String(propagation)}"`);
  }
}

/** linux.rootfsPropagation must let through what any single mount wants. */
export function rootfsPropagation(
  flags: readonly PropagationFlag[],
  base: string | undefined,
): string | undefined {
  if (flags.includes("rshared") || base === "rshared" || base === "shared") return "rshared";
  return flags.includes("rslave") ? "rslave" : base;
}

function isShared(source: string, mounts: HoldingMounts): boolean {
  return mounts.of(source)?.propagation.some((tag) => tag.startsWith("shared:")) === true;
}

function isSlave(source: string, mounts: HoldingMounts): boolean {
  return mounts.of(source)?.propagation.some((tag) => tag.startsWith("master:")) === true;
}

function notPropagating(source: string, mounts: HoldingMounts, wanted: string): string {
  const point = mounts.of(source)?.mountPoint ?? "/";
  return `"${source}" is on mount "${point}", which is not ${wanted} mount`;
}
