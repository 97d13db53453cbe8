// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import { silentLogger as log } from "../../src/base/logger.ts";
import { createContentStore } from "../../src/content/content-store.ts";
import type { ContentStore } from "../../src/content/ports.ts";
import { Collector } from "../../src/garbage/collector.ts";
import type { GarbageCollector } from "../../src/garbage/ports.ts";
import { imagesTable } from "../../src/images/image-records.ts";
import { Leases } from "../../src/metadata/leases.ts";
import { openMemoryMetadata } from "../../src/metadata/mirrored-store.ts";
import type { MetadataStore } from "../../src/metadata/ports.ts";
import type { FolderSnapshotter } from "../../src/snapshots/folder-snapshotter.ts";
import { createNativeSnapshotter } from "../../src/snapshots/native/native-snapshotter.ts";
import { testTrees } from "./trees.ts";

export interface Stores {
  readonly metadata: MetadataStore;
  readonly content: ContentStore;
  readonly snapshots: FolderSnapshotter;
  /** `snapshots` by its name. */
  readonly snapshotters: ReadonlyMap<string, FolderSnapshotter>;
  readonly leases: Leases;
  /** Whoever has made the stores disposes of it. */
  readonly garbage: GarbageCollector & AsyncDisposable;
}

/** The real stores of images in a folder, over a memory store unless another is given. */
export async function makeStores(
  folder: string,
  {
    metadata = openMemoryMetadata(log),
    trees = testTrees(),
    make = createNativeSnapshotter,
  }: {
    readonly metadata?: MetadataStore;
    readonly trees?: ReturnType<typeof testTrees>;
    readonly make?: typeof createNativeSnapshotter;
  } = {},
): Promise<Stores> {
  const content = await createContentStore({ root: path.join(folder, "c"), metadata, log });
  const snapshots = await make({ root: path.join(folder, "s"), metadata, log, trees });
  const leases = new Leases(metadata);
  const snapshotters = new Map([[snapshots.name, snapshots]]);
  const garbage = new Collector({
    metadata,
    content,
    images: imagesTable(metadata),
    snapshotters,
    leases,
    log,
  });
  return { metadata, content, snapshots, snapshotters, leases, garbage };
}
