// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import { isFault } from "../base/errors.ts";
import { expiryOf } from "../metadata/leases.ts";
import type { Snapshotter } from "../snapshots/ports.ts";
import type { GarbageStores, Marks } from "./mark.ts";

/** How long an unfinished write that no lease holds may lie untouched: containerd's figure. */
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
  marks: Marks,
  nowMs: number,
  call: Cancellable,
): Promise<Swept> {
  const swept: Swept = { blobs: 0, snapshots: 0, ingests: 0, leases: 0 };
  for (const lease of stores.leases.list(namespace)) {
    if ((expiryOf(lease) ?? Infinity) > nowMs) continue;
    await stores.leases.delete(namespace, lease.id);
    swept.leases += 1;
  }
  const blobs = stores.content
    .list(namespace)
    .filter(({ digest }) => !marks.has({ type: "content", id: digest }));
  // Side by side, since the records that are written at once share one transaction.
  const removed = await Promise.all(
    blobs.map(({ digest }) => gone(stores.content.delete(namespace, digest), "NOT_FOUND")),
  );
  swept.blobs = removed.reduce((sum, one) => sum + one, 0);
  for (const [name, snapshotter] of stores.snapshotters) {
    swept.snapshots += await sweepSnapshots(
      snapshotter,
      namespace,
      (id) => marks.has({ type: `snapshots/${name}`, id }),
      call,
    );
  }
  for (const { ref, updatedAtNanos } of await stores.content.ingests(namespace)) {
    const isFresh = Number(updatedAtNanos / 1_000_000n) > nowMs - ingestLifeMs;
    if (isFresh || marks.has({ type: "ingests", id: ref })) continue;
    swept.ingests += await gone(stores.content.abort(namespace, ref), "NOT_FOUND", "UNAVAILABLE");
  }
  return swept;
}

/** A layer can go once those on it are gone: children before parents. */
async function sweepSnapshots(
  snapshotter: Snapshotter,
  namespace: string,
  isMarked: (id: string) => boolean,
  call: Cancellable,
): Promise<number> {
  const infos = snapshotter.list(namespace);
  const parentOf = new Map(infos.map(({ name, parent }) => [name, parent]));
  const depths = new Map<string, number>();
  const depthOf = (name: string): number => {
    let depth = 0;
    for (let at = parentOf.get(name) ?? ""; at !== ""; at = parentOf.get(at) ?? "") depth += 1;
    return depth;
  };
  const doomed = infos.map(({ name }) => name).filter((name) => !isMarked(name));
  for (const name of doomed) depths.set(name, depthOf(name));
  let removed = 0;
  for (const name of doomed.sort((a, b) => (depths.get(b) ?? 0) - (depths.get(a) ?? 0))) {
    call.signal.throwIfAborted();
    const removal = snapshotter.remove(namespace, name, call);
    removed += await gone(removal, "NOT_FOUND", "FAILED_PRECONDITION");
  }
  return removed;
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
