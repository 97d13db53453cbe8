// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import { isFault } from "../base/errors.ts";
import { expiryOf } from "../metadata/leases.ts";
import type { Snapshotter } from "../snapshots/ports.ts";
import type { GarbageStores, Marks } from "./mark.ts";

/** How long an unfinished write that no lease has held may lie untouched: containerd's time. */
const ingestLifeMs = 24 * 3600 * 1000;

/** How much a collection removed. */
export interface Swept {
  blobs: number;
  snapshots: number;
  ingests: number;
  leases: number;
}

/** Removes what is not marked, and leases that have expired. */
export async function sweep(
  stores: GarbageStores,
  namespace: string,
  { marks, nowMs }: { readonly marks: Marks; readonly nowMs: number },
  call: Cancellable,
): Promise<Swept> {
  const swept: Swept = { blobs: 0, snapshots: 0, ingests: 0, leases: 0 };
  // What goes is listed before the first wait: what comes later was not there when marks were made.
  const blobs = stores.content
    .list(namespace)
    .filter(({ digest }) => !marks.has({ type: "content", id: digest }));
  const snapshots = [...stores.snapshotters].map(([name, snapshotter]) => ({
    snapshotter,
    keys: doomedSnapshots(snapshotter, namespace, (id) =>
      marks.has({ type: `snapshots/${name}`, id }),
    ),
  }));
  for (const lease of stores.leases.list(namespace)) {
    if ((expiryOf(lease) ?? Infinity) > nowMs) continue;
    await stores.leases.delete(namespace, lease.id);
    swept.leases += 1;
  }
  // Side by side, since the records that are written at once share one transaction.
  const removed = await Promise.all(
    blobs.map(({ digest }) => gone(stores.content.delete(namespace, digest), "NOT_FOUND")),
  );
  swept.blobs = removed.reduce((sum, one) => sum + one, 0);
  for (const { snapshotter, keys } of snapshots) {
    for (const key of keys) {
      call.signal.throwIfAborted();
      const removal = snapshotter.remove(namespace, key, call);
      swept.snapshots += await gone(removal, "NOT_FOUND", "FAILED_PRECONDITION");
    }
  }
  const loose = stores.leases.takeLoose(namespace);
  for (const { ref, updatedAtNanos } of await stores.content.ingests(namespace)) {
    const isFresh = !loose.has(ref) && Number(updatedAtNanos / 1_000_000n) > nowMs - ingestLifeMs;
    if (isFresh || marks.has({ type: "ingests", id: ref })) continue;
    const abort = stores.content.abort(namespace, ref);
    const count = await gone(abort, "NOT_FOUND", "UNAVAILABLE");
    swept.ingests += count;
    // Somebody still writes: the next collection asks again.
    if (count === 0 && loose.has(ref)) stores.leases.addLoose(namespace, [ref]);
  }
  return swept;
}

/** Children before parents, since a layer can go only once those on it are gone. */
function doomedSnapshots(
  snapshotter: Snapshotter,
  namespace: string,
  isMarked: (id: string) => boolean,
): string[] {
  const infos = snapshotter.list(namespace);
  const parentOf = new Map(infos.map(({ name, parent }) => [name, parent]));
  const depthOf = (name: string): number => {
    let depth = 0;
    for (let at = parentOf.get(name) ?? ""; at !== ""; at = parentOf.get(at) ?? "") depth += 1;
    return depth;
  };
  return infos
    .filter(({ name }) => !isMarked(name))
    .map(({ name }) => ({ name, depth: depthOf(name) }))
    .sort((a, b) => b.depth - a.depth)
    .map(({ name }) => name);
}

/** 1 when the removal did it, 0 when it failed with one of the codes. */
async function gone(
  removal: Promise<void>,
  ...codes: readonly ("NOT_FOUND" | "UNAVAILABLE" | "FAILED_PRECONDITION")[]
): Promise<number> {
  try {
    await removal;
    return 1;
  } catch (error) {
    if (isFault(error, ...codes)) return 0;
    throw error;
  }
}
