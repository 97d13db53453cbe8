// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from "node:crypto";
import os from "node:os";
import { type Cancellable, cleanupDeadline } from "../../base/cancellable.ts";
import { type FaultCode, fault, isFault, RuntimeFault } from "../../base/errors.ts";
import type { Logger } from "../../base/logger.ts";
import { syncFileSystem } from "../../base/os/inode.ts";
import { Semaphore } from "../../base/semaphore.ts";
import { SingleFlight } from "../../base/single-flight.ts";
import type { ContentStore, Digest } from "../../content/ports.ts";
import type { Snapshotter } from "../../snapshots/ports.ts";
import { owned, ownedLabel } from "../image-source.ts";
import { type ExtractedLayer, type Extractor, startExtractor } from "./extract-layer.ts";
import { dressImplicitFolders } from "./implicit-folders.ts";
import { SharedFlush } from "./shared-flush.ts";

export interface UnpackerOptions {
  readonly namespace: string;
  readonly content: ContentStore;
  readonly snapshotter: Snapshotter;
  readonly log: Logger;
}

export interface LayerToUnpack {
  readonly digest: Digest;
  readonly diffId: Digest;
  readonly chainId: Digest;
  /** Brings the blob into the content store. Not called for a layer that is unpacked already. */
  readonly fetch: (call: Cancellable) => Promise<void>;
}

const gaveUp: readonly FaultCode[] = ["CANCELLED", "DEADLINE_EXCEEDED"];
const keyPrefix = "extract-";
/** On two cores two or three children at a time are about a third faster than one; more are not. */
const parallelLayers = Math.min(3, Math.max(2, os.availableParallelism()));

/**
 * Turns an image's layers into committed snapshots named by chain id. Layers are fetched and extracted
 * side by side, each into a snapshot without parent, and committed in order, base first: only then
 * do they get their parent. A layer that two images share is worked on once.
 */
export class Unpacker {
  readonly #options: UnpackerOptions;
  readonly #permits = new Semaphore(parallelLayers);
  readonly #flights = new SingleFlight<void>({ abandonWhenUnwatched: true });
  readonly #flush: SharedFlush;
  /** Processes without a layer, while any image is unpacked: their program takes longer to load than most layers. */
  readonly #idle: Extractor[] = [];
  #running = 0;

  constructor(options: UnpackerOptions) {
    this.#options = options;
    this.#flush = new SharedFlush(() => syncFileSystem(options.snapshotter.root));
  }

  /** Removes what a crash left half extracted. */
  async recover(): Promise<void> {
    const { namespace, snapshotter } = this.#options;
    for (const { name, kind, labels } of snapshotter.list(namespace)) {
      if (kind !== "ACTIVE" || !name.startsWith(keyPrefix) || !(ownedLabel in labels)) continue;
      await snapshotter.remove(namespace, name, { signal: cleanupDeadline(60_000) });
    }
  }

  /** Unpacks the layers, base first in the list. */
  async unpack(layers: readonly LayerToUnpack[], call: Cancellable): Promise<void> {
    this.#running += 1;
    try {
      this.#prepareFor(layers);
      await this.#ready(layers, layers.length - 1, call);
    } finally {
      this.#running -= 1;
      if (this.#running === 0) {
        for (const extractor of this.#idle.splice(0)) extractor[Symbol.dispose]();
      }
    }
  }

  #prepareFor(layers: readonly LayerToUnpack[]): void {
    const missing = layers.filter(({ chainId }) => !this.has(chainId)).length;
    const wanted = Math.min(missing, parallelLayers);
    while (this.#idle.length < wanted) this.#idle.push(startExtractor());
  }

  /** True when the chain's snapshot is there. */
  has(chainId: string): boolean {
    const { namespace, snapshotter } = this.#options;
    try {
      return snapshotter.stat(namespace, chainId).kind === "COMMITTED";
    } catch (error) {
      if (isFault(error, "NOT_FOUND")) return false;
      throw error;
    }
  }

  async #ready(layers: readonly LayerToUnpack[], at: number, call: Cancellable): Promise<void> {
    const layer = layers[at];
    if (layer === undefined || this.has(layer.chainId)) return;
    await this.#flights.run(layer.chainId, (shared) => this.#make(layer, layers, at, shared), call);
  }

  async #make(
    layer: LayerToUnpack,
    layers: readonly LayerToUnpack[],
    at: number,
    { signal }: Cancellable,
  ): Promise<void> {
    const abort = new AbortController();
    const call = { signal: AbortSignal.any([signal, abort.signal]) };
    const work = [this.#ready(layers, at - 1, call), this.#extract(layer, call)] as const;
    try {
      const [, extracted] = await Promise.all(work);
      await this.#commit(layer, extracted, layers[at - 1]?.chainId ?? "", call);
    } catch (error) {
      abort.abort(error);
      const [, settled] = await Promise.allSettled(work);
      if (settled.status === "fulfilled") await this.#discard(settled.value.key);
      throw error;
    }
  }

  async #extract(
    layer: LayerToUnpack,
    call: Cancellable,
  ): Promise<ExtractedLayer & { readonly key: string }> {
    await layer.fetch(call);
    const key = `${keyPrefix}${randomBytes(6).toString("hex")} ${layer.chainId}`;
    try {
      const extracted = await this.#extractInto(key, layer, call);
      // Before a layer is shown: a crash must not leave a committed one with empty files.
      await this.#flush.run();
      return { ...extracted, key };
    } catch (error) {
      await this.#discard(key);
      if (!(error instanceof RuntimeFault) || gaveUp.includes(error.code)) throw error;
      throw fault(error.code, `cannot extract layer "${layer.digest}": ${error.message}`, {
        cause: error,
      });
    }
  }

  async #extractInto(
    key: string,
    { digest, diffId }: LayerToUnpack,
    call: Cancellable,
  ): Promise<ExtractedLayer> {
    const { namespace, content, snapshotter } = this.#options;
    using _writing = this.#flush.writing();
    using _permit = await this.#permits.acquire(call);
    await snapshotter.prepare(namespace, key, "", { labels: owned, ...call });
    const [root] = snapshotter.directories(namespace, key);
    if (root === undefined) throw fault("INTERNAL", `snapshot "${key}" has no folder`);
    using ours = new DisposableStack();
    const extractor = ours.use(this.#idle.pop() ?? startExtractor());
    const extracted = await extractor.extract({ blob: content.pathOf(digest), root, diffId }, call);
    if (this.#running > 0 && this.#idle.length < parallelLayers) {
      ours.move();
      this.#idle.push(extractor);
    }
    return extracted;
  }

  async #commit(
    { chainId }: LayerToUnpack,
    { key, implicit, usage }: ExtractedLayer & { readonly key: string },
    parent: string,
    call: Cancellable,
  ): Promise<void> {
    const { namespace, snapshotter } = this.#options;
    const [own] = snapshotter.directories(namespace, key);
    if (parent !== "" && own !== undefined) {
      await dressImplicitFolders(own, snapshotter.directories(namespace, parent), implicit);
    }
    try {
      await snapshotter.commit(namespace, chainId, key, { labels: owned, parent, usage, ...call });
    } catch (error) {
      if (!isFault(error, "ALREADY_EXISTS")) throw error;
      await this.#discard(key);
    }
  }

  async #discard(key: string): Promise<void> {
    const { namespace, snapshotter, log } = this.#options;
    try {
      await snapshotter.remove(namespace, key, { signal: cleanupDeadline(60_000) });
    } catch (error) {
      // The next start removes it.
      if (!isFault(error, "NOT_FOUND")) log.warn({ key, err: error }, "extraction left behind");
    }
  }
}
