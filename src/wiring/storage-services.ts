// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import { clearScratchMounts } from "../diff/scratch-mounts.ts";
import type { ImageChanges } from "../images/image-changes.ts";
import { pauseBinaryPath } from "../pause/pause-binary.ts";
import { definePlugin, pluginUri } from "../plugin/plugin.ts";
import { createContentService } from "../services/content-service.ts";
import { createDiffService } from "../services/diff-service.ts";
import { createImagesService } from "../services/images-service.ts";
import { createLeasesService } from "../services/leases-service.ts";
import { createSnapshotsService } from "../services/snapshots-service.ts";
import { type Environment, pluginTypes } from "./environment.ts";
import { grpcService } from "./grpc-services.ts";
import type { RuntimePlugins } from "./runtime.ts";
import { type StoragePlugins, snapshottersOf } from "./storage.ts";

/** containerd's services about what is stored: images, content, snapshots, differences, leases. */
// oxlint-disable-next-line typescript/explicit-module-boundary-types -- the plugins' types are their instances', inferred
export function storageServicePlugins(
  { config }: Environment,
  { metadata, content, trees, leases, garbage }: StoragePlugins,
  { exchange }: RuntimePlugins,
  changes: ImageChanges,
) {
  const type = pluginTypes.service;
  const onChange = (namespace: string): Promise<void> => changes.notify(namespace);
  const images = definePlugin({
    type,
    id: "images-service",
    requires: [metadata, garbage, exchange].map(pluginUri),
    init: (context) =>
      createImagesService({
        metadata: context.get(metadata),
        garbage: context.get(garbage),
        events: context.get(exchange),
        onChange,
      }),
  });
  const contents = definePlugin({
    type,
    id: "content-service",
    requires: [content, leases, garbage, exchange].map(pluginUri),
    init: (context) =>
      createContentService({
        content: context.get(content),
        leases: context.get(leases),
        garbage: context.get(garbage),
        events: context.get(exchange),
      }),
  });
  const snapshots = definePlugin({
    type,
    id: "snapshots-service",
    requires: [
      ...[leases, garbage, exchange].map(pluginUri),
      pluginTypes.snapshotter, // whichever of them are up
    ],
    init: (context) =>
      createSnapshotsService({
        snapshotters: snapshottersOf(context),
        leases: context.get(leases),
        garbage: context.get(garbage),
        events: context.get(exchange),
        onCommit: onChange,
      }),
  });
  const diff = definePlugin({
    type,
    id: "diff-service",
    requires: [trees, content, leases, garbage].map(pluginUri),
    init: async (context) => {
      const scratchFolder = path.join(config.root, "diff");
      context.waitsFor("mounts that a crash has left");
      await clearScratchMounts(scratchFolder, context.get(trees).remover);
      return createDiffService({
        content: context.get(content),
        leases: context.get(leases),
        garbage: context.get(garbage),
        scratchFolder,
        program: pauseBinaryPath(),
      });
    },
  });
  const leasing = definePlugin({
    type,
    id: "leases-service",
    requires: [leases, garbage].map(pluginUri),
    init: (context) =>
      createLeasesService({ leases: context.get(leases), garbage: context.get(garbage) }),
  });
  return { images, contents, snapshots, diff, leasing };
}

/** Their names on the wire. */
// oxlint-disable-next-line typescript/explicit-module-boundary-types -- a list of gRPC plugins, inferred
export function storageFaces({
  images,
  contents,
  snapshots,
  diff,
  leasing,
}: ReturnType<typeof storageServicePlugins>) {
  return [
    grpcService("images", "containerd.services.images.v1.Images", images),
    grpcService("content", "containerd.services.content.v1.Content", contents),
    grpcService("snapshots", "containerd.services.snapshots.v1.Snapshots", snapshots),
    grpcService("diff", "containerd.services.diff.v1.Diff", diff),
    grpcService("leases", "containerd.services.leases.v1.Leases", leasing),
  ];
}
