// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import { fault } from "../base/errors.ts";
import type { ContentStore, Digest } from "../content/ports.ts";
import { chainIds } from "./chain-id.ts";
import { type ImageSource, obtainDocument } from "./image-source.ts";
import type { DocumentReader } from "./manifest/document-reader.ts";
import type { Descriptor, ImageDocument, Manifest } from "./manifest/documents.ts";
import { bestFor, type Platform, platformFit, platformName } from "./manifest/platform.ts";

/** An image for one platform, from what its name points to down to its layers. */
export interface ImageTree {
  /** What the name points to: an index, or the manifest itself. */
  readonly target: Descriptor;
  readonly manifest: Manifest;
  readonly manifestDigest: Digest;
  readonly document: ImageDocument;
  /** The config's digest. */
  readonly id: Digest;
  /** One for each layer, base first. */
  readonly chainIds: readonly Digest[];
  /** Every blob of it, layers included. */
  readonly blobs: readonly Digest[];
  /** Bytes of manifest, config and layers as they are stored and sent. */
  readonly sizeBytes: bigint;
}

/** Where images are read, and for whom. */
export interface TreeReading {
  readonly content: ContentStore;
  readonly namespace: string;
  readonly documents: DocumentReader;
  readonly platform: Platform;
  /** Called before a document is looked for. */
  readonly keep?: (blob: Digest) => Promise<void>;
}

const maxDepth = 4;
/** How many of an index's platforms a message lists. */
const shownPlatforms = 20;

/**
 * Reads an image's documents, through indexes to the manifest for the platform. What the content store
 * lacks comes from the source. FAILED_PRECONDITION for what is no image, NOT_FOUND without a platform.
 */
export async function readImageTree(
  { content, namespace, documents, platform, keep }: TreeReading,
  source: ImageSource,
  target: Descriptor,
  call: Cancellable,
): Promise<ImageTree> {
  const blobs: Digest[] = [];
  const read = async (descriptor: Descriptor): Promise<Buffer> => {
    blobs.push(descriptor.digest);
    await keep?.(descriptor.digest);
    return obtainDocument({ content, namespace }, source, descriptor, call);
  };
  let at = target;
  for (let depth = 0; depth < maxDepth; depth += 1) {
    const bytes = await read(at);
    const { digest, mediaType } = at;
    const parsed = await documents.read(
      { kind: "manifest", bytes, what: `manifest "${digest}"`, mediaType },
      call,
    );
    if (parsed.kind === "index") {
      at = pick(parsed.manifests, platform, at.digest);
      continue;
    }
    const config = await read(parsed.config);
    const document = await documents.read(
      { kind: "image", bytes: config, what: `config "${parsed.config.digest}"`, mediaType: "" },
      call,
    );
    checkImage(parsed, document, platform);
    blobs.push(...parsed.layers.map(({ digest }) => digest));
    return {
      target,
      manifest: parsed,
      manifestDigest: at.digest,
      document,
      id: parsed.config.digest,
      chainIds: chainIds(document.diffIds),
      blobs,
      sizeBytes: BigInt(
        parsed.layers.reduce((sum, { size }) => sum + size, bytes.length + parsed.config.size),
      ),
    };
  }
  throw fault("FAILED_PRECONDITION", `index "${target.digest}" is nested too deeply`);
}

/** Refuses to fetch: for reading an image that must be complete already. */
export const noSource: ImageSource = {
  document: async ({ digest }) => {
    throw fault("NOT_FOUND", `content "${digest}" not found`);
  },
  fetch: async ({ digest }) => {
    throw fault("NOT_FOUND", `content "${digest}" not found`);
  },
  gives: () => true,
  labels: () => ({}),
};

function pick(offered: readonly Descriptor[], platform: Platform, index: Digest): Descriptor {
  const best = bestFor(platform, offered);
  if (best) return best;
  const have = offered
    .slice(0, shownPlatforms)
    .map((one) => one.platform && platformName(one.platform))
    .join(", ");
  throw fault(
    "NOT_FOUND",
    `index "${index}" has no image for ${platformName(platform)}, only for ${have || "none"}`,
  );
}

function checkImage(manifest: Manifest, document: ImageDocument, platform: Platform): void {
  const { os, architecture } = document.platform;
  if (os !== "" && architecture !== "" && platformFit(platform, document.platform) === undefined) {
    throw fault(
      "NOT_FOUND",
      `image is for ${platformName(document.platform)}, not for ${platformName(platform)}`,
    );
  }
  if (manifest.layers.length !== document.diffIds.length) {
    throw fault(
      "FAILED_PRECONDITION",
      `image has ${manifest.layers.length} layers, but its config tells of ${document.diffIds.length}`,
    );
  }
}
