// SPDX-License-Identifier: Apache-2.0
import { isFault } from "../base/errors.ts";
import type { SnapshotInfo, Snapshotter } from "../snapshots/ports.ts";

/** Where an image's layers are unpacked, and for whom. */
export interface NamespaceLayers {
  readonly namespace: string;
  readonly snapshotter: Pick<Snapshotter, "stat">;
}

/** The snapshot of a chain, once it is committed. */
export function committedLayer(
  { namespace, snapshotter }: NamespaceLayers,
  chainId: string,
): SnapshotInfo | undefined {
  try {
    const info = snapshotter.stat(namespace, chainId);
    return info.kind === "COMMITTED" ? info : undefined;
  } catch (error) {
    if (isFault(error, "NOT_FOUND")) return undefined;
    throw error;
  }
}
