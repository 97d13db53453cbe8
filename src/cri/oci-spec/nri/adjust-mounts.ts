// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import type { HoldingMounts } from "../../../base/os/mount-table.ts";
import type { Mount } from "../../../nri/messages.ts";
import type { OciMount, OciSpec } from "../../../oci/spec.ts";
import { type PropagationFlag, propagationFlag, rootfsPropagation } from "../mount-propagation.ts";

/** Reads what holds the sources of mounts; see mountsHolding (base/os/mount-table.ts). */
export type ReadMounts = (paths: readonly string[]) => Promise<HoldingMounts>;

const travelling = {
  rshared: "PROPAGATION_BIDIRECTIONAL",
  rslave: "PROPAGATION_HOST_TO_CONTAINER",
} as const;

/**
 * Sets and removes mounts, then sorts all of them by depth and name, so that none covers what is mounted below it.
 * INVALID_ARGUMENT for a propagation that the host's mount under the source does not have: it would silently not be.
 * "relabel" is no option for a runtime but a wish for SELinux, which there is none of here.
 */
export async function adjustMounts(
  spec: OciSpec,
  mounts: readonly Mount[],
  readMounts: ReadMounts,
): Promise<void> {
  if (mounts.length === 0) return;
  const flags = await propagationOf(mounts, readMounts);
  const byDestination = new Map(spec.mounts.map((mount) => [mount.destination, mount]));
  for (const mount of mounts) {
    const { destination } = mount;
    if (destination.startsWith("-")) byDestination.delete(destination.slice(1));
    else byDestination.set(destination, toOci(mount));
  }
  spec.mounts = [...byDestination.values()].toSorted(byDepthAndName);
  const propagation = rootfsPropagation(flags, spec.linux.rootfsPropagation);
  if (propagation !== undefined) spec.linux.rootfsPropagation = propagation;
}

async function propagationOf(
  mounts: readonly Mount[],
  readMounts: ReadMounts,
): Promise<PropagationFlag[]> {
  const wanted = mounts.flatMap(({ destination, source, options }) => {
    if (destination.startsWith("-")) return [];
    const flag = options.findLast((option) => option === "rshared" || option === "rslave");
    return flag === undefined ? [] : [{ destination, source, flag }];
  });
  const table = await readMounts(wanted.map(({ source }) => source));
  return wanted.map(({ destination, source, flag }) =>
    propagationFlag(travelling[flag], source, table, `adjust.mounts["${destination}"]`),
  );
}

function toOci({ destination, type, source, options }: Mount): OciMount {
  return {
    destination,
    ...(type !== "" && { type }),
    ...(source !== "" && { source }),
    options: options.filter((option) => option !== "relabel"),
  };
}

function byDepthAndName(a: OciMount, b: OciMount): number {
  const depth = depthOf(a) - depthOf(b);
  if (depth !== 0) return depth;
  return a.destination < b.destination ? -1 : a.destination > b.destination ? 1 : 0;
}

function depthOf({ destination }: OciMount): number {
  return path.posix
    .normalize(destination)
    .split("/")
    .filter((part) => part !== "").length;
}
