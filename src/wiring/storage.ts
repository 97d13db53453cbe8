// SPDX-License-Identifier: Apache-2.0

import { toldOf } from "../config/layout.ts";
import { createContentStore } from "../content/content-store.ts";
import type { ContentStore } from "../content/ports.ts";
import { Collector } from "../garbage/collector.ts";
import type { GarbageCollector } from "../garbage/ports.ts";
import { imagesTable } from "../images/image-records.ts";
import { Leases } from "../metadata/leases.ts";
import type { MetadataStore } from "../metadata/ports.ts";
import { openMetadata } from "../metadata/sqlite/open-metadata.ts";
import { pauseBinaryPath } from "../pause/pause-binary.ts";
import { type AllOf, type Plugin, plugin } from "../plugin/plugin.ts";
import type { FolderSnapshotter } from "../snapshots/folder-snapshotter.ts";
import { createNativeSnapshotter } from "../snapshots/native/native-snapshotter.ts";
import { createOverlaySnapshotter } from "../snapshots/overlayfs/overlay-snapshotter.ts";
import { createOwnerMapping } from "../snapshots/overlayfs/owner-mapping.ts";
import { createTrees, type Trees } from "../trees/create-trees.ts";
import { type Environment, pluginTypes } from "./environment.ts";

export interface StoragePlugins {
  readonly plugins: readonly Plugin<unknown>[];
  readonly metadata: Plugin<MetadataStore>;
  readonly content: Plugin<ContentStore>;
  readonly trees: Plugin<Trees>;
  readonly overlayfs: Plugin<FolderSnapshotter>;
  readonly snapshotters: AllOf<FolderSnapshotter>;
  readonly leases: Plugin<Leases>;
  readonly garbage: Plugin<GarbageCollector>;
}

/** What is kept on disk: records, blobs, layers. */
export function storagePlugins({ layout, log, fail, writer }: Environment): StoragePlugins {
  const metadata = plugin({
    type: pluginTypes.metadata,
    id: "sqlite",
    requires: {},
    exports: { path: layout.database },
    init: () =>
      openMetadata({
        path: layout.database,
        told: toldOf(layout),
        log,
        worker: writer.take(),
        onLost: fail,
      }),
  });
  const content = plugin({
    type: pluginTypes.content,
    id: "content",
    requires: { metadata },
    exports: { root: layout.content },
    init: ({ metadata }) =>
      createContentStore({
        root: layout.content,
        metadata,
        log,
      }),
  });
  const trees = plugin({
    type: pluginTypes.trees,
    id: "trees",
    requires: {},
    init: () => createTrees(log),
  });
  const overlayfs = plugin({
    type: pluginTypes.snapshotter,
    id: "overlayfs",
    requires: { metadata, trees },
    exports: { root: layout.overlayfs },
    // By this clients know that they need not copy an image to change its owners.
    capabilities: ["remap-ids", "multi-remap-ids"],
    init: async ({ metadata, trees }, context) => {
      const root = layout.overlayfs;
      context.waitsFor("mounts that a crash has left");
      const owners = await createOwnerMapping({
        root,
        program: pauseBinaryPath(),
        trees: trees.remover,
        log,
      });
      context.waitsFor("the folders of snapshots");
      return createOverlaySnapshotter({
        root,
        metadata,
        trees,
        owners,
        log,
      });
    },
  });
  const native = plugin({
    type: pluginTypes.snapshotter,
    id: "native",
    requires: { metadata, trees },
    exports: { root: layout.native },
    init: ({ metadata, trees }) =>
      createNativeSnapshotter({
        root: layout.native,
        metadata,
        trees,
        log,
      }),
  });
  const snapshotters: AllOf<FolderSnapshotter> = { all: [overlayfs, native] };
  const leases = plugin({
    type: pluginTypes.lease,
    id: "manager",
    requires: { metadata },
    init: ({ metadata }) => new Leases(metadata),
  });
  const garbage = plugin({
    type: pluginTypes.gc,
    id: "scheduler",
    requires: { metadata, content, leases, snapshotters },
    init: ({ metadata, content, leases, snapshotters }) =>
      new Collector({
        metadata,
        content,
        images: imagesTable(metadata),
        snapshotters,
        leases,
        log,
      }),
  });
  const plugins = [metadata, content, trees, overlayfs, native, leases, garbage];
  return { plugins, metadata, content, trees, overlayfs, snapshotters, leases, garbage };
}
