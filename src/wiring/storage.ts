// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import { createContentStore } from "../content/content-store.ts";
import { openMetadata } from "../metadata/sqlite/open-metadata.ts";
import { definePlugin, pluginUri } from "../plugin/plugin.ts";
import { createOverlaySnapshotter } from "../snapshots/overlayfs/overlay-snapshotter.ts";
import { type Environment, pluginTypes } from "./environment.ts";

/** What is kept on disk: records, blobs, layers. */
// oxlint-disable-next-line typescript/explicit-module-boundary-types -- the plugins' types are their instances', inferred
export function storagePlugins({ config, log }: Environment) {
  const metadata = definePlugin({
    type: pluginTypes.metadata,
    id: "sqlite",
    requires: [],
    exports: { path: path.join(config.root, "meta.db") },
    init: () => openMetadata({ path: path.join(config.root, "meta.db"), log }),
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
  const overlayfs = definePlugin({
    type: pluginTypes.snapshotter,
    id: "overlayfs",
    requires: [pluginUri(metadata)],
    exports: { root: path.join(config.root, "snapshots", "overlayfs") },
    init: (context) =>
      createOverlaySnapshotter({
        root: path.join(config.root, "snapshots", "overlayfs"),
        metadata: context.get(metadata),
        log,
      }),
  });
  return { metadata, content, overlayfs };
}

export type StoragePlugins = ReturnType<typeof storagePlugins>;
