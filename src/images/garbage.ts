// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import { isFault } from "../base/errors.ts";
import type { ContentStore } from "../content/ports.ts";
import type { Snapshotter } from "../snapshots/ports.ts";
import { ownedLabel } from "./image-source.ts";
import type { ImageTree } from "./image-tree.ts";

export interface GarbageOptions {
  readonly namespace: string;
  readonly content: ContentStore;
  readonly snapshotter: Snapshotter;
}

/**
 * Removes blobs and layer snapshots that images brought in and that none of `trees` leads to. What a
 * container still builds on stays for the next time. Nothing may be pulled meanwhile.
 */
export async function collectGarbage(
  { namespace, content, snapshotter }: GarbageOptions,
  trees: readonly ImageTree[],
  call: Cancellable,
): Promise<void> {
  const blobs = new Set(trees.flatMap((tree) => tree.blobs));
  const chains = new Set<string>(trees.flatMap((tree) => tree.chainIds));
  for (const { digest, labels } of content.list(namespace)) {
    if (ownedLabel in labels && !blobs.has(digest)) {
      await content.delete(namespace, digest).catch(ignore("NOT_FOUND"));
    }
  }
  let doomed = snapshotter
    .list(namespace)
    .filter(
      ({ name, kind, labels }) => kind === "COMMITTED" && ownedLabel in labels && !chains.has(name),
    )
    .map(({ name }) => name);
  // A layer can go once those on it are gone: round by round, from the top.
  for (let before = doomed.length + 1; doomed.length > 0 && doomed.length < before; ) {
    before = doomed.length;
    const parents = new Set(snapshotter.list(namespace).map(({ parent }) => parent));
    const [kept, free] = partition(doomed, (name) => parents.has(name));
    for (const name of free) {
      await snapshotter
        .remove(namespace, name, call)
        .catch(ignore("NOT_FOUND", "FAILED_PRECONDITION"));
    }
    doomed = kept;
  }
}

function ignore(...codes: Parameters<typeof isFault>[1][]): (error: unknown) => void {
  return (error) => {
    if (!isFault(error, ...codes)) throw error;
  };
}

function partition<T>(items: readonly T[], test: (item: T) => boolean): [T[], T[]] {
  const yes: T[] = [];
  const no: T[] = [];
  for (const item of items) (test(item) ? yes : no).push(item);
  return [yes, no];
}
