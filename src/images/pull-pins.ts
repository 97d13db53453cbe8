// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import type { GarbageCollector } from "../garbage/ports.ts";
import type { Resource } from "../metadata/leases.ts";
import type { Snapshotter } from "../snapshots/ports.ts";
import type { ImageTree } from "./image-tree.ts";

/** An image's blobs and layers as the collector names them; `withoutLayers` leaves out the layers' blobs. */
export function resourcesOf(
  { blobs, chainIds, manifest }: ImageTree,
  { name }: Pick<Snapshotter, "name">,
  { withoutLayers = false }: { readonly withoutLayers?: boolean } = {},
): Resource[] {
  const documents = withoutLayers ? blobs.slice(0, blobs.length - manifest.layers.length) : blobs;
  return [
    ...documents.map((id) => ({ type: "content", id })),
    ...chainIds.map((id) => ({ type: `snapshots/${name}`, id })),
  ];
}

/**
 * What pulls and loads under way have found or will make, as roots for the collector. So collections go on while one
 * waits for its registry or reads its archive, however long that takes.
 */
export class PullPins {
  readonly #garbage: GarbageCollector;
  readonly #namespace: string;
  readonly #held = new Set<readonly Resource[]>();

  constructor(garbage: GarbageCollector, namespace: string) {
    this.#garbage = garbage;
    this.#namespace = namespace;
    garbage.addRoots(namespace, () => [...this.#held].flat());
  }

  /**
   * Keeps these resources, there or not yet, until disposed. Call it before looking for them. It waits for a
   * collection that runs, which has decided already what goes.
   */
  async keep(resources: readonly Resource[], call: Cancellable): Promise<Disposable> {
    using _hold = await this.#garbage.hold(this.#namespace, call);
    const held = [...resources];
    this.#held.add(held);
    return { [Symbol.dispose]: () => void this.#held.delete(held) };
  }
}
