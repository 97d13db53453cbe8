// SPDX-License-Identifier: Apache-2.0
import { clearScratchMounts } from "../diff/scratch-mounts.ts";
import type { ImageChanges } from "../images/image-changes.ts";
import { pauseBinaryPath } from "../pause/pause-binary.ts";
import { plugin } from "../plugin/plugin.ts";
import { createContentService } from "../services/content-service.ts";
import { createDiffService } from "../services/diff-service.ts";
import { createImagesService } from "../services/images-service.ts";
import { createLeasesService } from "../services/leases-service.ts";
import { createSnapshotsService } from "../services/snapshots-service.ts";
import { type Environment, pluginTypes } from "./environment.ts";
import { grpcService, type ServingPlugins } from "./grpc-services.ts";
import type { RuntimePlugins } from "./runtime.ts";
import type { StoragePlugins } from "./storage.ts";

/** containerd's services about what is stored: images, content, snapshots, differences, leases. */
export function storageServicePlugins(
  { layout }: Environment,
  { metadata, content, trees, snapshotters, leases, garbage }: StoragePlugins,
  { exchange }: RuntimePlugins,
  changes: ImageChanges,
): ServingPlugins {
  const type = pluginTypes.service;
  const onChange = (namespace: string): Promise<void> => changes.notify(namespace);
  const images = plugin({
    type,
    id: "images-service",
    requires: { metadata, garbage, exchange },
    init: ({ metadata, garbage, exchange }) =>
      createImagesService({
        metadata,
        garbage,
        events: exchange,
        onChange,
      }),
  });
  const contents = plugin({
    type,
    id: "content-service",
    requires: { content, leases, garbage, exchange },
    init: ({ content, leases, garbage, exchange }) =>
      createContentService({
        content,
        leases,
        garbage,
        events: exchange,
      }),
  });
  const snapshots = plugin({
    type,
    id: "snapshots-service",
    requires: { leases, garbage, exchange, snapshotters },
    init: ({ leases, garbage, exchange, snapshotters }) =>
      createSnapshotsService({
        snapshotters,
        leases,
        garbage,
        events: exchange,
        onCommit: onChange,
      }),
  });
  const diff = plugin({
    type,
    id: "diff-service",
    requires: { trees, content, leases, garbage },
    init: async ({ trees, content, leases, garbage }, context) => {
      const scratchFolder = layout.diffMounts;
      context.waitsFor("mounts that a crash has left");
      await clearScratchMounts(scratchFolder, trees.remover);
      return createDiffService({
        content,
        leases,
        garbage,
        scratchFolder,
        program: pauseBinaryPath(),
      });
    },
  });
  const leasing = plugin({
    type,
    id: "leases-service",
    requires: { leases, garbage },
    init: ({ leases, garbage }) => createLeasesService({ leases, garbage }),
  });
  return {
    plugins: [images, contents, snapshots, diff, leasing],
    grpc: [
      grpcService("images", "containerd.services.images.v1.Images", images),
      grpcService("content", "containerd.services.content.v1.Content", contents),
      grpcService("snapshots", "containerd.services.snapshots.v1.Snapshots", snapshots),
      grpcService("diff", "containerd.services.diff.v1.Diff", diff, { costly: ["Apply", "Diff"] }),
      grpcService("leases", "containerd.services.leases.v1.Leases", leasing),
    ],
  };
}
