// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { isFault } from "../../base/errors.ts";
import type { SnapshotInfo } from "../../snapshots/ports.ts";
import type { LayerStores } from "./compare-layer.ts";

/**
 * Removes a damaged layer and those upon it, so that they are made anew. False when a container uses one of them:
 * then all stay.
 */
export async function dropLayer(
  { namespace, snapshotter, log }: LayerStores,
  chainId: string,
  call: Cancellable,
): Promise<boolean> {
  const upon = layersUpon(snapshotter.list(namespace), chainId);
  if (upon.some(({ kind }) => kind !== "COMMITTED")) return false;
  // The topmost first. One that somebody begins to use meanwhile keeps those below it.
  for (const name of [...upon.map((one) => one.name).reverse(), chainId]) {
    try {
      await snapshotter.remove(namespace, name, call);
    } catch (error) {
      if (isFault(error, "NOT_FOUND")) continue;
      if (isFault(error, "FAILED_PRECONDITION")) return false;
      throw error;
    }
  }
  log.error({ layer: chainId }, "layer is damaged, it is dropped and made again when it is used");
  return true;
}

/** All snapshots that have the layer below them, a lower one before those upon it. */
function layersUpon(all: readonly SnapshotInfo[], chainId: string): readonly SnapshotInfo[] {
  const children = Map.groupBy(all, ({ parent }) => parent);
  const found: SnapshotInfo[] = [];
  for (let below = [chainId]; below.length > 0; ) {
    const next = below.flatMap((name) => children.get(name) ?? []);
    found.push(...next);
    below = next.map(({ name }) => name);
  }
  return found;
}
