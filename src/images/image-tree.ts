// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import { fault, isFault } from "../base/errors.ts";
import type { Digest } from "../content/ports.ts";
import { chainIds } from "./chain-id.ts";
import { type DocumentStore, type ImageSource, obtainDocument } from "./image-source.ts";
import { artifactName, hasArchives } from "./manifest/artifacts.ts";
import type { DocumentReader } from "./manifest/document-reader.ts";
import type { Descriptor, ImageDocument, Index, Manifest } from "./manifest/documents.ts";
import {
  bestFor,
  candidatesFor,
  type Platform,
  platformFit,
  platformName,
} from "./manifest/platform.ts";

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
export interface TreeReading extends DocumentStore {
  readonly documents: DocumentReader;
  readonly platform: Platform;
  /** Called before a document is looked for. */
  readonly keep?: (blob: Digest) => Promise<void>;
}

const maxDepth = 4;
/** How many of an index's platforms a message lists. */
const shownPlatforms = 20;
/** How many entries that name no platform are looked into, in all indexes of an image together. */
const maxUnnamed = 20;

/**
 * Reads an image's documents, through indexes to the manifest for the platform. What the content store lacks comes from
 * the source. An index decides by what it says of its entries; a manifest that is no entry is taken whatever platform its
 * config names, as containerd does. FAILED_PRECONDITION for what is no image, NOT_FOUND without a platform.
 */
export async function readImageTree(
  reading: TreeReading,
  source: ImageSource,
  target: Descriptor,
  call: Cancellable,
): Promise<ImageTree> {
  return new TreeReader(reading, source, target, call).read(target, []);
}

/** An entry of an index, which can be followed unless it has a problem. */
interface Offered {
  readonly platform?: Platform | undefined;
  readonly problem?: string;
}

class TreeReader {
  readonly #reading: TreeReading;
  readonly #source: ImageSource;
  readonly #target: Descriptor;
  readonly #call: Cancellable;
  #unnamedLeft = maxUnnamed;

  constructor(reading: TreeReading, source: ImageSource, target: Descriptor, call: Cancellable) {
    this.#reading = reading;
    this.#source = source;
    this.#target = target;
    this.#call = call;
  }

  /** Reads on from a descriptor that these indexes lead to. */
  async read(at: Descriptor, above: readonly Digest[]): Promise<ImageTree> {
    if (above.length >= maxDepth) {
      throw fault("FAILED_PRECONDITION", `index "${this.#target.digest}" is nested too deeply`);
    }
    const bytes = await this.#document(at);
    const { digest, mediaType } = at;
    const task = { kind: "manifest", bytes, what: `manifest "${digest}"`, mediaType } as const;
    const parsed = await this.#reading.documents.read(task, this.#call);
    if (parsed.kind === "index") return this.#choose(parsed, [...above, digest]);
    const document = await this.#config(parsed, digest);
    const { config, layers } = parsed;
    return {
      target: this.#target,
      manifest: parsed,
      manifestDigest: digest,
      document,
      id: config.digest,
      chainIds: chainIds(document.diffIds),
      blobs: [...above, digest, config.digest, ...layers.map((layer) => layer.digest)],
      sizeBytes: BigInt(layers.reduce((sum, { size }) => sum + size, bytes.length + config.size)),
    };
  }

  async #choose(
    { manifests: offered, broken }: Index,
    above: readonly Digest[],
  ): Promise<ImageTree> {
    const { platform } = this.#reading;
    const best = bestFor<Offered>(platform, [...offered, ...broken]);
    if (best?.problem !== undefined) {
      // Another one would be another image than the one that is meant.
      throw fault(
        "FAILED_PRECONDITION",
        `the entry for ${platformName(platform)} in index "${above.at(-1)}" cannot be read: ${best.problem}`,
      );
    }
    const candidates = candidatesFor(platform, offered);
    const [only] = candidates;
    if (only?.platform) return this.read(only, above);
    let refusal = noneFits(offered, platform, above.at(-1) ?? "");
    for (const candidate of candidates) {
      if (this.#unnamedLeft === 0) break;
      this.#unnamedLeft -= 1;
      try {
        const tree = await this.read(candidate, above);
        if (fits(tree.document.platform, platform)) return tree;
        refusal = isForAnother(tree.document.platform, platform);
      } catch (error) {
        // What is no image, and names no platform, may well be something beside the images.
        if (!isFault(error, "FAILED_PRECONDITION", "NOT_FOUND")) throw error;
        refusal = error;
      }
    }
    throw refusal;
  }

  async #config(manifest: Manifest, digest: Digest): Promise<ImageDocument> {
    const { config, layers } = manifest;
    const bytes = await this.#document(config);
    const what = `config "${config.digest}"`;
    try {
      const document = await this.#reading.documents.read(
        { kind: "image", bytes, what, mediaType: "" },
        this.#call,
      );
      const { diffIds } = document;
      if (layers.length === diffIds.length && hasArchives(manifest)) return document;
      throw fault(
        "FAILED_PRECONDITION",
        `image has ${layers.length} layers, but its config tells of ${diffIds.length}`,
      );
    } catch (error) {
      const artifact = artifactName(manifest);
      if (artifact === undefined || !isFault(error, "FAILED_PRECONDITION")) throw error;
      throw fault(
        "FAILED_PRECONDITION",
        `manifest "${digest}" is no container image, but ${artifact}`,
        { cause: error },
      );
    }
  }

  async #document(descriptor: Descriptor): Promise<Buffer> {
    await this.#reading.keep?.(descriptor.digest);
    return obtainDocument(this.#reading, this.#source, descriptor, this.#call);
  }
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
  vouchesFor: async () => true,
  labels: () => ({}),
};

/** What an image's config says it is for, and the platform here, where they do not fit. */
export function otherPlatform(
  { document }: ImageTree,
  wanted: Platform,
): { readonly builtFor: string; readonly here: string } | undefined {
  if (fits(document.platform, wanted)) return undefined;
  return { builtFor: platformName(document.platform), here: platformName(wanted) };
}

/** A config that does not say is for any platform. */
function fits(own: Platform, wanted: Platform): boolean {
  return own.os === "" || own.architecture === "" || platformFit(wanted, own) !== undefined;
}

function isForAnother(own: Platform, wanted: Platform): Error {
  return fault("NOT_FOUND", `image is for ${platformName(own)}, not for ${platformName(wanted)}`);
}

function noneFits(offered: readonly Descriptor[], platform: Platform, index: string): Error {
  if (offered.length === 0) return fault("NOT_FOUND", `index "${index}" lists no images`);
  const have = offered
    .slice(0, shownPlatforms)
    .map((one) => one.platform && platformName(one.platform))
    .join(", ");
  return fault(
    "NOT_FOUND",
    `index "${index}" has no image for ${platformName(platform)}, only for ${have || "none"}`,
  );
}
