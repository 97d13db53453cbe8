// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { toFault } from "../../base/errors.ts";
import type { Digest } from "../../content/ports.ts";
import { committedLayer } from "../committed-layer.ts";
import { isDiscarded } from "../discarded-layers.ts";
import type { ImageTree } from "../image-tree.ts";
import type { DamageFinding, VerifiedCounts } from "../ports.ts";
import { checkBlob, type HashFile } from "../unpack/check-blob.ts";
import { compareLayer, type LayerStores, type LayerToCompare } from "./compare-layer.ts";
import { dropLayer } from "./drop-layer.ts";
import { SpareExtractor } from "./spare-extractor.ts";

/** An image to be looked at, and its names. */
export interface NamedTree {
  readonly tree: ImageTree;
  readonly names: readonly string[];
}

export interface Verification {
  readonly stores: LayerStores;
  /** Keeps what an image consists of while it is looked at. */
  readonly keep: (tree: ImageTree, call: Cancellable) => Promise<Disposable>;
}

type Found = Pick<DamageFinding, "problem" | "isDropped"> | undefined;

/**
 * Reads all blobs of the images and extracts all their layers anew, one after another, and tells what is not as it was
 * pulled. What is damaged is dropped where no container uses it, so that the next pull, or use, makes it again. What
 * several images share is looked at once.
 */
export async function* verifyImages(
  images: readonly NamedTree[],
  verification: Verification,
  call: Cancellable,
): AsyncGenerator<DamageFinding, VerifiedCounts, undefined> {
  using extractor = new SpareExtractor();
  const verifier = new Verifier(verification, extractor, call);
  for (const image of images) yield* verifier.image(image);
  return { images: images.length, blobs: verifier.blobs, layers: verifier.layers };
}

class Verifier {
  readonly #verification: Verification;
  readonly #extractor: SpareExtractor;
  readonly #call: Cancellable;
  /** What is wrong with what was looked at; undefined for what is whole. */
  readonly #looked = new Map<string, Found>();
  blobs = 0;
  layers = 0;

  constructor(verification: Verification, extractor: SpareExtractor, call: Cancellable) {
    this.#verification = verification;
    this.#extractor = extractor;
    this.#call = call;
  }

  async *image({ tree, names: images }: NamedTree): AsyncGenerator<DamageFinding, void, undefined> {
    using _kept = await this.#verification.keep(tree, this.#call);
    const { content, namespace } = this.#verification.stores;
    const isWithoutLayers = isDiscarded(content.info(namespace, tree.manifestDigest)?.labels);
    const discards = new Set(isWithoutLayers ? tree.manifest.layers.map((one) => one.digest) : []);
    const whole = new Set<Digest>();
    for (const digest of new Set(tree.blobs)) {
      if (discards.has(digest) && !content.info(namespace, digest)) continue;
      const object = `content ${digest}`;
      const found = await this.#once(object, () => this.#blob(digest));
      if (found) yield { images, object, ...found };
      else whole.add(digest);
    }
    for (const [at, chainId] of tree.chainIds.entries()) {
      const digest = tree.manifest.layers[at]?.digest;
      const diffId = tree.document.diffIds[at];
      // Without its blob nobody knows what a layer must look like.
      if (digest === undefined || diffId === undefined || !whole.has(digest)) continue;
      const layer = { digest, diffId, chainId, parent: tree.chainIds[at - 1] ?? "" };
      const object = `layer ${chainId}`;
      const found = await this.#once(object, () => this.#layer(layer));
      if (found) yield { images, object, ...found };
    }
  }

  async #once(object: string, look: () => Promise<Found>): Promise<Found> {
    if (this.#looked.has(object)) return this.#looked.get(object);
    const found = await look().catch((error: unknown): Found => {
      this.#call.signal.throwIfAborted();
      return { problem: `it cannot be looked at: ${toFault(error).message}`, isDropped: false };
    });
    this.#looked.set(object, found);
    return found;
  }

  async #blob(digest: Digest): Promise<Found> {
    const { content, namespace } = this.#verification.stores;
    this.blobs += 1;
    if (!content.info(namespace, digest)) return { problem: "it is missing", isDropped: true };
    const hash: HashFile = (task, by) =>
      this.#extractor.lend(by, (extractor) => extractor.hash(task, by));
    const found = await checkBlob(content, digest, hash, this.#call);
    if (!found) return undefined;
    const dropped = await content.dropDamaged(digest, found);
    return dropped && { problem: found.problem, isDropped: true };
  }

  async #layer(layer: LayerToCompare): Promise<Found> {
    const { stores } = this.#verification;
    if (!committedLayer(stores, layer.chainId)) return undefined; // it is made when it is used
    this.layers += 1;
    const problem = await this.#extractor.lend(this.#call, (extractor) =>
      compareLayer(stores, layer, extractor, this.#call),
    );
    if (problem === "") return undefined;
    return { problem, isDropped: await dropLayer(stores, layer.chainId, this.#call) };
  }
}
