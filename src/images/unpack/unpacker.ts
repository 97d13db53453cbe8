// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from "node:crypto";
import { mkdir, rm } from "node:fs/promises";
import path from "node:path";
import { type Cancellable, cleanupDeadline } from "../../base/cancellable.ts";
import { timeLimit } from "../../base/deadline.ts";
import { fault, isFault, RuntimeFault } from "../../base/errors.ts";
import type { Logger } from "../../base/logger.ts";
import { diskFault, onDisk } from "../../base/on-disk.ts";
import { syncFileSystem } from "../../base/os/inode.ts";
import { Semaphore } from "../../base/semaphore.ts";
import { SingleFlight } from "../../base/single-flight.ts";
import { allSettled, unlessAborted } from "../../base/waits.ts";
import { algorithmOf } from "../../content/digest.ts";
import type { ContentStore, Digest } from "../../content/ports.ts";
import type { Snapshotter, SnapshotUsage } from "../../snapshots/ports.ts";
import { committedLayer } from "../committed-layer.ts";
import { blobLabel, madeFrom } from "../discarded-layers.ts";
import { type BeginEarly, owned, ownedLabel, plainDigestLabel } from "../image-source.ts";
import { checkBlob, type HashFile } from "./check-blob.ts";
import { EarlyLayer, type EarlyOptions } from "./early-layer.ts";
import type { ExtractedLayer, Extractor } from "./extract-layer.ts";
import { extractionKey, isExtractionKey, unfinished } from "./extraction-key.ts";
import { dressAndSync } from "./implicit-folders.ts";
import { LentExtractors, parallelLayers } from "./lent-extractors.ts";
import { linkList } from "./name-list.ts";
import { SharedFlush } from "./shared-flush.ts";

export interface UnpackerOptions {
  readonly namespace: string;
  readonly content: ContentStore;
  readonly snapshotter: Snapshotter;
  readonly log: Logger;
  /** How long processes that have extracted layers wait for more, in milliseconds. Default 0. */
  readonly keepExtractorsMs?: number;
  /** Shutdown: ends them. */
  readonly signal?: AbortSignal;
}

export interface LayerToUnpack {
  readonly digest: Digest;
  readonly diffId: Digest;
  readonly chainId: Digest;
  /** Of the blob. */
  readonly sizeBytes: number;
  /** Brings the blob into the content store, or makes sure that the caller may use the one that is there. */
  readonly fetch: (call: Cancellable, begin: BeginEarly) => Promise<void>;
  /** Hears what becomes of it once it is fetched. */
  readonly onState?: (state: "exists" | "extracting" | "done") => void;
}

/** How much of an image, as it is stored, is worth a process: a small one costs less than a process to start. */
const bytesAProcess = 16 * 1024 * 1024;
const flushLimitMs = 600_000;
/** How often layers are made again that others have removed under a pull. */
const maxRounds = 5;

/**
 * Turns an image's layers into committed snapshots named by chain id. Layers are fetched and extracted
 * side by side, each into a snapshot without parent, and committed in order, base first: only then
 * do they get their parent. A layer that two images share is worked on once.
 */
export class Unpacker {
  readonly #options: UnpackerOptions;
  /** Folder for files that one child process writes and another reads. */
  readonly #lists: string;
  readonly #flights = new SingleFlight<void>({ abandonWhenUnwatched: true });
  readonly #flush: SharedFlush;
  readonly #extractors: LentExtractors;
  /** Chains that some image is making, and by how many. */
  readonly #making = new Map<string, number>();
  /** Woken when a layer is committed, or one is no longer being made. */
  readonly #onChange = new Set<() => void>();

  constructor(options: UnpackerOptions) {
    this.#options = options;
    this.#lists = path.join(options.snapshotter.root, "implicit-folders");
    const { root } = options.snapshotter;
    this.#flush = new SharedFlush(() => onDisk("flush layers", root, () => syncFileSystem(root)));
    this.#extractors = new LentExtractors(options.keepExtractorsMs ?? 0, options.signal);
  }

  /** Removes what a crash left half extracted. */
  async recover(): Promise<void> {
    const { namespace, snapshotter } = this.#options;
    for (const { name, kind, labels } of snapshotter.list(namespace)) {
      if (kind !== "ACTIVE" || !isExtractionKey(name) || !(ownedLabel in labels)) continue;
      await this.#discard(name);
    }
    await this.#discardList(this.#lists);
    // The folder itself stays, so that a start changes nothing where there was nothing to remove.
    await mkdir(this.#lists, { recursive: true, mode: 0o700 }).catch(() => {});
  }

  /** Unpacks the layers, base first in the list. */
  async unpack(layers: readonly LayerToUnpack[], call: Cancellable): Promise<void> {
    const atOnce = this.#worthAtOnce(layers);
    using _work = this.#extractors.working(atOnce);
    const image = { layers, permits: new Semaphore(Math.max(1, atOnce)) };
    const top = layers.at(-1)?.chainId ?? "";
    // A client of the Snapshots service may remove one that was there. What has one upon it stays.
    for (let round = 0; round === 0 || !this.has(top); round += 1) {
      if (round === maxRounds) throw fault("ABORTED", `layer "${top}" is removed by others`);
      await this.#allReady(image, call);
    }
  }

  /** Makes all layers, side by side. The first failure ends the others, and is thrown once they have ended. */
  async #allReady(image: ImageLayers, { signal }: Cancellable): Promise<void> {
    const abort = new AbortController();
    const call = { signal: AbortSignal.any([signal, abort.signal]) };
    const work = image.layers.map((_layer, at) => this.#ready(image, at, call));
    try {
      await Promise.all(work);
    } catch (error) {
      abort.abort(error);
      await Promise.allSettled(work);
      throw error;
    }
  }

  /** How many of an image's layers are worked on at once. */
  #worthAtOnce(layers: readonly LayerToUnpack[]): number {
    const missing = layers.filter(({ chainId }) => !this.has(chainId));
    const bytes = missing.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    return Math.min(missing.length, parallelLayers, Math.ceil(bytes / bytesAProcess));
  }

  /** True when the chain's snapshot is there, or none is needed: an image without layers has the chain "". */
  has(chainId: string): boolean {
    return chainId === "" || committedLayer(this.#options, chainId) !== undefined;
  }

  /**
   * Makes one layer. Each caller must have a right to it of its own; the work is shared with whoever wants the same.
   */
  async #ready(image: ImageLayers, at: number, call: Cancellable): Promise<void> {
    const layer = image.layers[at];
    if (layer === undefined) return;
    using _making = this.#makes(layer.chainId);
    await this.#readied(layer, image, at, call);
  }

  async #readied(
    layer: LayerToUnpack,
    image: ImageLayers,
    at: number,
    call: Cancellable,
  ): Promise<void> {
    const discard = (left: Extracted): Promise<void> => this.#discardAll(left);
    const start: EarlyOptions<Extracted>["start"] = (file, own) =>
      this.#extractGrowing(file, layer, image, own);
    await using early = new EarlyLayer({ start, discard }, call);
    const wasThere = this.has(layer.chainId);
    await layer.fetch(call, (file) => early.begin(file));
    if (this.has(layer.chainId) && this.#isProven(layer)) {
      layer.onState?.(wasThere ? "exists" : "done");
      return;
    }
    layer.onState?.("extracting");
    // By the blob as well: a blob that is not what its image says must not fail another image.
    const key = `${layer.chainId} ${layer.digest}`;
    const make = (): Promise<void> =>
      this.#flights.join(key, (shared) => this.#make({ layer, image, at, early }, shared), call);
    try {
      await make();
    } catch (damage) {
      if (!isFault(damage, "DATA_LOSS")) throw damage;
      // The damaged blob has been dropped: a source that has it gives it again, a second time it is not tried.
      await layer
        .fetch(call, () => undefined)
        .catch((error: unknown) => {
          throw isFault(error, "NOT_FOUND") ? damage : error;
        });
      await make();
    }
    layer.onState?.("done");
  }

  /** True when the blob is known to hold the layer that the image's config lists. */
  #isProven({ digest, diffId, chainId }: LayerToUnpack): boolean {
    if (digest === diffId || madeFrom(this.#options, chainId, digest)) return true;
    const { namespace, content } = this.#options;
    return content.info(namespace, digest)?.labels[plainDigestLabel] === diffId;
  }

  /**
   * Makes a layer, and makes it anew where the one below is removed while it is finished: that may have been read when it
   * was half gone.
   */
  async #make(layerAt: LayerAt, call: Cancellable): Promise<void> {
    const { image, at } = layerAt;
    const parent = image.layers[at - 1]?.chainId ?? "";
    for (let round = 1; ; round += 1) {
      let isFinishing = false;
      const finishing = (): void => {
        isFinishing = true;
      };
      try {
        await this.#makeOnce(layerAt, finishing, call);
        break;
      } catch (error) {
        const isSure = !isFinishing || this.has(parent);
        if (isSure || round === maxRounds || call.signal.aborted) throw error;
        this.#options.log.debug({ parent, err: error }, "layer is made anew");
      }
    }
    for (const wake of this.#onChange) wake();
  }

  async #makeOnce(
    { layer, image, at, early }: LayerAt,
    onFinishing: () => void,
    call: Cancellable,
  ): Promise<void> {
    const extracted =
      (await early.take(layer.digest, call)) ?? (await this.#extract(layer, image, call));
    try {
      const { leftOut } = extracted;
      const about = { layer: layer.digest, leftOut };
      if (leftOut.length > 0) this.#options.log.warn(about, "members of a layer are left out");
      // Before the layer is committed: after a crash it would have empty files.
      await this.#flushed(call);
      await this.#committed(image, at - 1, call);
      onFinishing();
      await this.#commit(extracted, image, at, call);
    } catch (error) {
      await this.#discardAll(extracted);
      throw error;
    }
  }

  /**
   * Waits until the layer, and so those below it, is committed: each image that wants the one above makes it too, or has
   * given up. One that was there, and that a client has removed since, is made again.
   */
  async #committed(image: ImageLayers, at: number, call: Cancellable): Promise<void> {
    const chainId = image.layers[at]?.chainId ?? "";
    while (!this.has(chainId)) {
      if (!this.#making.has(chainId)) {
        await this.#ready(image, at, call);
        continue;
      }
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#onChange.add(resolve);
      try {
        await unlessAborted(promise, call.signal);
      } finally {
        this.#onChange.delete(resolve);
      }
    }
  }

  /** Notes that a layer is being made, until disposed. */
  #makes(chainId: string): Disposable {
    this.#making.set(chainId, (this.#making.get(chainId) ?? 0) + 1);
    return {
      [Symbol.dispose]: () => {
        const others = (this.#making.get(chainId) ?? 1) - 1;
        if (others > 0) this.#making.set(chainId, others);
        else this.#making.delete(chainId);
        for (const wake of this.#onChange) wake();
      },
    };
  }

  async #extract(layer: LayerToUnpack, image: ImageLayers, call: Cancellable): Promise<Extracted> {
    const place = this.#newPlace(layer);
    using _writing = this.#flush.writing();
    try {
      const blob = this.#options.content.pathOf(layer.digest);
      // Before its turn: it waits for the disk, which may be flushing other layers, and no process should wait with it.
      const root = await this.#prepare(place, call);
      const task = { blob, diffId: layer.diffId, root, implicitList: place.list };
      const extracted = await this.#withExtractor(image, call, (extractor, own) =>
        extractor.extract(task, own),
      );
      return { ...extracted, ...place };
    } catch (error) {
      await this.#discardAll(place);
      if (call.signal.aborted || !(error instanceof RuntimeFault)) throw error;
      if (mayBeDamage(error)) await this.#assertWhole(layer, image, call);
      throw notExtracted(layer.digest, this.#options.snapshotter.root, error);
    }
  }

  /** DATA_LOSS when it is not the layer that is bad but its blob on the disk, which is dropped then. */
  async #assertWhole(
    { digest }: LayerToUnpack,
    image: ImageLayers,
    call: Cancellable,
  ): Promise<void> {
    const { content } = this.#options;
    const hash: HashFile = (task, by) =>
      this.#withExtractor(image, by, (extractor, own) => extractor.hash(task, own));
    const found = await checkBlob(content, digest, hash, call).catch(() => undefined);
    call.signal.throwIfAborted();
    const damage = found && (await content.dropDamaged(digest, found));
    if (damage) throw damage;
  }

  /** Extracts a layer whose blob is still being written, if a process is free for it. */
  #extractGrowing(
    blob: string,
    { digest, diffId, chainId, sizeBytes }: LayerToUnpack,
    image: ImageLayers,
    call: Cancellable,
  ): Promise<Extracted> | undefined {
    const place = this.#newPlace({ chainId, digest });
    const blobAlgorithm = algorithmOf(digest);
    const task = { blob, blobAlgorithm, diffId, growsTo: sizeBytes, implicitList: place.list };
    return this.#extractors
      .useNow(image.permits, call, async (extractor, own) => {
        using _writing = this.#flush.writing();
        const root = await this.#prepare(place, own);
        return { ...(await extractor.extract({ ...task, root }, own)), ...place };
      })
      ?.catch(async (error: unknown) => {
        this.#options.log.debug(
          { layer: digest, err: error },
          "layer is not extracted as it comes",
        );
        await this.#discardAll(place);
        throw error;
      });
  }

  #newPlace({ chainId, digest }: Pick<LayerToUnpack, "chainId" | "digest">): Place {
    const id = randomBytes(6).toString("hex");
    return { key: extractionKey(id, chainId), list: path.join(this.#lists, id), chainId, digest };
  }

  /** Makes the folder that a layer is extracted into. */
  async #prepare({ key, digest }: Place, call: Cancellable): Promise<string> {
    const { namespace, snapshotter } = this.#options;
    await allSettled([
      snapshotter.prepare(namespace, key, "", { labels: unfinished, ...call }),
      onDisk(`extract layer "${digest}"`, this.#lists, () =>
        mkdir(this.#lists, { recursive: true, mode: 0o700 }),
      ),
    ]);
    const [root] = snapshotter.directories(namespace, key);
    if (root === undefined) throw fault("INTERNAL", `snapshot "${key}" has no folder`);
    return root;
  }

  #withExtractor<T>(
    { permits }: ImageLayers,
    call: Cancellable,
    work: (extractor: Extractor, call: Cancellable) => Promise<T>,
  ): Promise<T> {
    return this.#extractors.use(permits, call, work);
  }

  async #commit(
    extracted: Extracted,
    image: ImageLayers,
    at: number,
    call: Cancellable,
  ): Promise<void> {
    const { namespace, snapshotter } = this.#options;
    const { chainId, digest, key } = extracted;
    const labels = { ...owned, [blobLabel]: digest };
    const parent = image.layers[at - 1]?.chainId ?? "";
    const { root } = snapshotter;
    const usage = await onDisk(`finish layer "${digest}"`, root, () =>
      this.#dress(extracted, image, parent, call),
    );
    try {
      await snapshotter.commit(namespace, chainId, key, { labels, parent, usage, ...call });
    } catch (error) {
      if (!isFault(error, "ALREADY_EXISTS")) throw error;
      await this.#discard(key);
    }
  }

  /**
   * Makes folders that the layer only implied look as in the layers below. A few are done here; many are work for a
   * child, as are hard links to what is below. Answers what the layer takes then.
   */
  async #dress(
    { key, implicit, list, usage, digest, hasLowerLinks, ...sizes }: Extracted,
    image: ImageLayers,
    parent: string,
    call: Cancellable,
  ): Promise<SnapshotUsage> {
    const { namespace, snapshotter } = this.#options;
    const [root] = snapshotter.directories(namespace, key);
    if (root === undefined) return usage;
    const lowers = snapshotter.directories(namespace, parent);
    if (implicit !== "listed") {
      if (parent !== "") await dressAndSync(root, lowers, implicit);
      return usage;
    }
    if (parent === "" && !hasLowerLinks) {
      await this.#discardList(list);
      return usage;
    }
    const { blobBytes } = sizes;
    const plainBytes = Number(sizes.plainBytes);
    const task = { root, lowers, implicitList: list, blobBytes, plainBytes };
    const dressed = this.#withExtractor(image, call, (extractor, own) =>
      extractor.dress(task, own),
    );
    const { sizeBytes, inodes } = await dressed.catch((error: unknown) => {
      throw notExtracted(digest, this.#options.snapshotter.root, error);
    });
    await this.#flushed(call);
    await this.#discardList(list);
    return {
      sizeBytes: usage.sizeBytes + BigInt(sizeBytes),
      inodes: usage.inodes + BigInt(inodes),
    };
  }

  async #flushed({ signal }: Cancellable): Promise<void> {
    using limit = timeLimit(flushLimitMs, signal);
    await this.#flush.run(limit);
  }

  async #discardAll({ key, list }: Place): Promise<void> {
    await this.#discard(key);
    await this.#discardList(list);
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

  async #discardList(list: string): Promise<void> {
    try {
      for (const one of [list, linkList(list)]) await rm(one, { recursive: true, force: true });
    } catch (error) {
      this.#options.log.warn({ list, err: error }, "list of folders left behind");
    }
  }
}

/** The layers of an image. Only a few of them are worked on at once. */
interface ImageLayers {
  readonly layers: readonly LayerToUnpack[];
  readonly permits: Semaphore;
}

interface LayerAt {
  readonly layer: LayerToUnpack;
  readonly image: ImageLayers;
  readonly at: number;
  readonly early: EarlyLayer<Extracted>;
}

/** Where a layer is extracted to. */
interface Place extends Pick<LayerToUnpack, "chainId" | "digest"> {
  readonly key: string;
  readonly list: string;
}

interface Extracted extends ExtractedLayer, Place {}

function notExtracted(layer: Digest, root: string, error: unknown): unknown {
  const refused = diskFault(`extract layer "${layer}"`, root, error);
  if (refused !== undefined) return refused;
  if (!(error instanceof RuntimeFault)) return error;
  const { code, message } = error;
  return fault(code, `cannot extract layer "${layer}": ${message}`, { cause: error });
}

/** What an extraction fails with when the bytes that it reads are not those that were fetched. */
function mayBeDamage(error: unknown): boolean {
  return isFault(error, "INVALID_ARGUMENT", "FAILED_PRECONDITION", "NOT_FOUND", "UNKNOWN");
}
