// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import { createContentStore } from "../content/content-store.ts";
import { createGarbageCollector } from "../garbage/create-collector.ts";
import { imagesTable } from "../images/image-records.ts";
import { Leases } from "../metadata/leases.ts";
import { openMetadata } from "../metadata/sqlite/open-metadata.ts";
import { pauseBinaryPath } from "../pause/pause-binary.ts";
import { definePlugin, type PluginContext, pluginUri } from "../plugin/plugin.ts";
import type { FolderSnapshotter } from "../snapshots/folder-snapshotter.ts";
import { createNativeSnapshotter } from "../snapshots/native/native-snapshotter.ts";
import { createOverlaySnapshotter } from "../snapshots/overlayfs/overlay-snapshotter.ts";
import { createOwnerMapping } from "../snapshots/overlayfs/owner-mapping.ts";
import { type Environment, pluginTypes } from "./environment.ts";
import { createTrees } from "./trees.ts";

/** What is kept on disk: records, blobs, layers. */
// oxlint-disable-next-line typescript/explicit-module-boundary-types -- the plugins' types are their instances', inferred
export function storagePlugins({ config, log, fail }: Environment) {
  const metadata = definePlugin({
    type: pluginTypes.metadata,
    id: "sqlite",
    requires: [],
    exports: { path: path.join(config.root, "meta.db") },
    init: () => openMetadata({ path: path.join(config.root, "meta.db"), log, onLost: fail }),
  });
  const content = definePlugin({
    type: pluginTypes.content,
    id: "content",
    requires: [pluginUri(metadata)],
    exports: { root: path.join(config.root, "content") },
    init: (context) =>
      createContentStore({
        root: path.join(config.root, "content"),
        metadata: context.get(metadata),
        log,
      }),
  });
  const trees = definePlugin({
    type: pluginTypes.trees,
    id: "trees",
    requires: [],
    init: () => createTrees(log),
  });
  const overlayfs = definePlugin({
    type: pluginTypes.snapshotter,
    id: "overlayfs",
    requires: [pluginUri(metadata), pluginUri(trees)],
    exports: { root: path.join(config.root, "snapshots", "overlayfs") },
    // By this clients know that they need not copy an image to change its owners.
    capabilities: ["remap-ids", "multi-remap-ids"],
    init: async (context) => {
      const root = path.join(config.root, "snapshots", "overlayfs");
      context.waitsFor("mounts that a crash has left");
      const owners = await createOwnerMapping({
        root,
        program: pauseBinaryPath(),
        trees: context.get(trees).remover,
        log,
      });
      context.waitsFor("the folders of snapshots");
      return createOverlaySnapshotter({
        root,
        metadata: context.get(metadata),
        trees: context.get(trees),
        owners,
        log,
      });
    },
  });
  const native = definePlugin({
    type: pluginTypes.snapshotter,
    id: "native",
    requires: [pluginUri(metadata), pluginUri(trees)],
    exports: { root: path.join(config.root, "snapshots", "native") },
    init: (context) =>
      createNativeSnapshotter({
        root: path.join(config.root, "snapshots", "native"),
        metadata: context.get(metadata),
        trees: context.get(trees),
        log,
      }),
  });
  const leases = definePlugin({
    type: pluginTypes.lease,
    id: "manager",
    requires: [pluginUri(metadata)],
    init: (context) => new Leases(context.get(metadata)),
  });
  const garbage = definePlugin({
    type: pluginTypes.gc,
    id: "scheduler",
    requires: [pluginUri(metadata), pluginUri(content), pluginUri(leases), pluginTypes.snapshotter],
    init: (context) =>
      createGarbageCollector({
        metadata: context.get(metadata),
        content: context.get(content),
        images: imagesTable(context.get(metadata)),
        snapshotters: snapshottersOf(context),
        leases: context.get(leases),
        log,
      }),
  });
  return { metadata, content, trees, overlayfs, native, leases, garbage };
}

/** The snapshotters that are up, for a plugin that requires their type. */
export function snapshottersOf(context: PluginContext): ReadonlyMap<string, FolderSnapshotter> {
  return context.all(pluginTypes.snapshotter) as ReadonlyMap<string, FolderSnapshotter>;
}

export type StoragePlugins = ReturnType<typeof storagePlugins>;
