// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import { silentLogger } from "../../../src/base/logger.ts";
import { defaultConfig } from "../../../src/config/defaults.ts";
import { createContentStore } from "../../../src/content/content-store.ts";
import type { ContentStore } from "../../../src/content/ports.ts";
import { Collector } from "../../../src/garbage/collector.ts";
import { createImages } from "../../../src/images/create-images.ts";
import type { ImageLibrary, ImagesOptions } from "../../../src/images/image-library.ts";
import { imagesTable } from "../../../src/images/image-records.ts";
import { hostPlatform } from "../../../src/images/manifest/platform.ts";
import type { Image } from "../../../src/images/ports.ts";
import { type Patience, registryPatience } from "../../../src/images/registry/patience.ts";
import { Leases } from "../../../src/metadata/leases.ts";
import { openMemoryMetadata } from "../../../src/metadata/mirrored-store.ts";
import type { MetadataStore } from "../../../src/metadata/ports.ts";
import { createOverlaySnapshotter } from "../../../src/snapshots/overlayfs/overlay-snapshotter.ts";
import type { Snapshotter } from "../../../src/snapshots/ports.ts";
import { testTrees } from "../../support/trees.ts";
import { until } from "../../support/until.ts";

export const namespace = "k8s.io";

/** Neither certs.d nor a proxy. */
export const noRegistry = { configPath: "", proxy: "", noProxy: [] } as const;

/** As often as in earnest, without the waits. */
export const quickPatience: Patience = {
  ...registryPatience,
  delayMs: 5,
  maxDelayMs: 20,
};

export interface Library {
  readonly images: ImageLibrary;
  readonly content: ContentStore;
  readonly snapshotter: Snapshotter;
  readonly metadata: MetadataStore;
  /** The folder of an image's topmost layer, or of one below it. */
  readonly layer: (chainId: string, depth?: number) => string;
}

const defaults: ImagesOptions["config"] = {
  ...defaultConfig.images,
  pullProgressTimeoutMs: 30_000,
};

/** The real stores in a folder, with metadata that can be handed on to play a restart. */
export async function openLibrary(
  root: string,
  options: Partial<
    Pick<
      ImagesOptions,
      "builtin" | "platform" | "onNameChange" | "onTransfer" | "patience" | "keepExtractorsMs"
    >
  > & {
    readonly config?: Partial<ImagesOptions["config"]>;
    readonly metadata?: MetadataStore;
    readonly registry?: Partial<ImagesOptions["registry"]>;
  } = {},
): Promise<Library> {
  const log = silentLogger;
  const metadata = options.metadata ?? openMemoryMetadata(log);
  const content = await createContentStore({ root: path.join(root, "content"), metadata, log });
  const snapshotter = await createOverlaySnapshotter({
    root: path.join(root, "snapshots"),
    metadata,
    log,
    trees: testTrees(),
  });
  const images = await createImages({
    namespace,
    content,
    snapshotter,
    garbage: new Collector({
      metadata,
      content,
      images: imagesTable(metadata),
      snapshotters: new Map([[snapshotter.name, snapshotter]]),
      leases: new Leases(metadata),
      log,
    }),
    metadata,
    get config() {
      return { ...defaults, ...options.config };
    },
    registry: { ...noRegistry, ...options.registry },
    platform: options.platform ?? hostPlatform(),
    log,
    patience: options.patience ?? quickPatience,
    ...(options.builtin && { builtin: options.builtin }),
    ...(options.keepExtractorsMs !== undefined && { keepExtractorsMs: options.keepExtractorsMs }),
    ...(options.onTransfer && { onTransfer: options.onTransfer }),
    ...(options.onNameChange && { onNameChange: options.onNameChange }),
  });
  return {
    images,
    content,
    snapshotter,
    metadata,
    layer: (chainId, depth = 0) => snapshotter.directories(namespace, chainId)[depth] ?? "",
  };
}

/** The images, once there are so many: a library that has just been opened may still be reading them. */
export async function allRead(images: ImageLibrary, count: number): Promise<readonly Image[]> {
  await until(`${count} images are read`, () => images.list().length >= count, {
    timeoutMs: 60_000,
  });
  return images.list();
}
