// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import { timeLimit } from "../base/deadline.ts";
import { errnoOf, fault, isAbort, isFault } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import { settlesWithin } from "../base/waits.ts";
import type { ImagesConfig, RegistryConfig } from "../config/config.ts";
import type { ContentStore, Digest } from "../content/ports.ts";
import type { GarbageCollector } from "../garbage/ports.ts";
import type { Resource } from "../metadata/leases.ts";
import type { MetadataStore } from "../metadata/ports.ts";
import type { Snapshotter } from "../snapshots/ports.ts";
import { openArchive } from "./archive/archive.ts";
import { ArchiveSource } from "./archive/archive-source.ts";
import { type ArchivedImage, readArchive } from "./archive/read-archive.ts";
import { isDiscarded, noteSources, standsFor } from "./discarded-layers.ts";
import { type BuiltinImage, ImageCatalog } from "./image-catalog.ts";
import { type ImageRecord, ImageRecords, isManaged, type NameChange } from "./image-records.ts";
import type { BeginEarly, ImageSource } from "./image-source.ts";
import { type ImageTree, noSource, otherPlatform, readImageTree } from "./image-tree.ts";
import { imagesUsage } from "./images-usage.ts";
import { labelTree } from "./label-tree.ts";
import { DocumentReader } from "./manifest/document-reader.ts";
import type { Descriptor } from "./manifest/documents.ts";
import type { Platform } from "./manifest/platform.ts";
import { namingImage } from "./naming-image.ts";
import type {
  DamageFinding,
  Image,
  Images,
  LoadOptions,
  PushedImage,
  PushOptions,
  RegistryAuth,
  TransferStep,
  VerifiedCounts,
} from "./ports.ts";
import type { Transfer } from "./progress/transfer.ts";
import { type TransferNews, Transfers } from "./progress/transfers.ts";
import { PullFlights } from "./pull-flights.ts";
import { PullPins, resourcesOf } from "./pull-pins.ts";
import { destinationOf, pushStored } from "./push/push-stored.ts";
import { canonicalName, parseReference, type Reference, repositoryName } from "./reference.ts";
import { pullEachMeaning } from "./registry/each-meaning.ts";
import { openRegistry } from "./registry/open-registry.ts";
import type { Patience } from "./registry/patience.ts";
import { RegistrySource } from "./registry/registry-source.ts";
import { dropIdleDownloads, dropStaleIngests } from "./stale-ingests.ts";
import { Unpacker } from "./unpack/unpacker.ts";
import { verifyImages } from "./verify/verify-images.ts";

export interface ImagesOptions {
  readonly namespace: string;
  readonly content: ContentStore;
  readonly snapshotter: Snapshotter;
  readonly garbage: GarbageCollector;
  readonly metadata: MetadataStore;
  /** Looked at for each pull, as is `registry`. */
  readonly config: ImagesConfig;
  readonly registry: RegistryConfig;
  /** How often registries are asked again; tests have less. */
  readonly patience?: Patience;
  readonly platform: Platform;
  readonly log: Logger;
  /** Images that come with the daemon, such as the sandbox image. */
  readonly builtin?: readonly BuiltinImage[];
  /** Hears of each name that a pull, a load or a removal has changed. Must not throw. */
  readonly onNameChange?: (change: NameChange) => void;
  /** Hears of pulls and pushes as they go on. Must not throw. */
  readonly onTransfer?: (news: TransferNews) => void;
  /** How long processes that have extracted layers wait for more, in milliseconds. Default 0. */
  readonly keepExtractorsMs?: number;
  /** Shutdown: ends pulls that run, and such processes. */
  readonly signal?: AbortSignal;
}

/** Images, with what lies below CRI's view of them. */
export interface ImageLibrary extends Images {
  /** containerd's view: names and targets. After changing them, call `refreshAll`. */
  readonly records: ImageRecords;
  /** Makes CRI's view of a record whose content and snapshots are there; false when they are not. */
  refresh(record: ImageRecord, call: Cancellable): Promise<boolean>;
  /** Call when others have changed records or made layers: shows the images that have become complete. */
  refreshAll(call: Cancellable): Promise<void>;
  /** The config document as the image has it, in JSON, for inspection; undefined for a built-in image. */
  inspect(image: Image, call: Cancellable): Promise<string | undefined>;
  /**
   * Holds all blobs and layers of one image or of all against their digests, and drops what is damaged. Takes as long as
   * reading and extracting them. `reference` is as for `find`; all images when left out. NOT_FOUND for an image that is
   * not there.
   */
  verify(
    reference: string | undefined,
    call: Cancellable,
  ): AsyncGenerator<DamageFinding, VerifiedCounts, undefined>;
  /** Pulls and pushes that run. */
  readonly transfers: Transfers;
  /** The pull of an image that runs, by any name for it. */
  transferOf(reference: string): Transfer | undefined;
  /** The pull of this name and login that runs, if there is one. */
  pulling(reference: string, auth: RegistryAuth | undefined): Transfer | undefined;
  /** Pushes an image to its registry, or to another one. NOT_FOUND for one that is not there. */
  push(reference: string, options: PushOptions): Promise<PushedImage>;
  /** Removes what no image and no container needs; false when something is being made. */
  collectGarbage(call: Cancellable): Promise<boolean>;
}

/** Of images at the start. */
const readAtOnce = 4;
/** How long the start waits for images to be read. */
const startReadingMs = 10_000;
/** For reading all images, and for a collection that somebody waits for. */
const collectMs = 600_000;

/** Opens the images of a namespace. One that cannot be read is logged and left out. */
export async function createImages(options: ImagesOptions): Promise<ImageLibrary> {
  const images = new StoredImages(options);
  await images.recover();
  return images;
}

class StoredImages implements ImageLibrary {
  readonly records: ImageRecords;
  readonly #options: ImagesOptions;
  readonly #catalog: ImageCatalog;
  readonly #unpacker: Unpacker;
  readonly #documents = new DocumentReader();
  /** Targets of records that turned out to be no images. */
  readonly #unreadable = new Set<Digest>();
  readonly #pins: PullPins;
  readonly #pulls: PullFlights<Image>;
  readonly transfers: Transfers;
  /** By the keys of their flights. */
  readonly #pulling = new Map<string, Transfer>();

  constructor(options: ImagesOptions) {
    const { signal } = options;
    this.#options = options;
    this.records = new ImageRecords(options.metadata, options.namespace);
    this.#catalog = new ImageCatalog(
      this.records,
      options.builtin ?? [],
      () => options.config.pinned,
    );
    this.#unpacker = new Unpacker(options);
    this.#pins = new PullPins(options.garbage, options.namespace);
    this.#pulls = new PullFlights(signal);
    this.transfers = new Transfers(options.onTransfer);
    // What the records lead to, also where an older daemon has not labelled it.
    options.garbage.addRoots(options.namespace, () =>
      this.#catalog
        .trees()
        .flatMap((tree) =>
          resourcesOf(tree, options.snapshotter, { withoutLayers: this.#isDiscarded(tree) }),
        ),
    );
  }

  async recover(): Promise<void> {
    await dropStaleIngests(this.#options);
    await this.#unpacker.recover();
    // A single image must not keep the daemon from serving: the rest is read in the background.
    if (await settlesWithin(this.#readAll(), startReadingMs)) return;
    this.#options.log.warn({}, "images are still being read, some are not listed yet");
  }

  /** Shows the images of all records, a few at a time. Does not throw. */
  async #readAll(): Promise<void> {
    const { garbage, namespace, log, signal } = this.#options;
    using call = timeLimit(collectMs, ...(signal ? [signal] : []));
    try {
      using _work = await garbage.hold(namespace, call);
      const rest = this.records.list().values();
      const readSome = async (): Promise<void> => {
        for (const record of rest) await this.#readOne(record, call);
      };
      await Promise.all(Array.from({ length: readAtOnce }, readSome));
    } catch (err) {
      log.warn({ err }, "images cannot be read");
    }
  }

  async #readOne(record: ImageRecord, call: Cancellable): Promise<void> {
    const { log } = this.#options;
    try {
      if (await this.refresh(record, call)) await this.#adopt(record, call);
      else log.warn({ image: record.name }, "image lacks layers, it is left out");
    } catch (err) {
      log.warn({ image: record.name, err }, "image cannot be read");
    }
  }

  find(reference: string): Image | undefined {
    return this.#catalog.find(reference);
  }

  list(): readonly Image[] {
    return this.#catalog.list();
  }

  async refreshAll(call: Cancellable): Promise<void> {
    this.#catalog.changed();
    const records = this.records.list();
    const targets = new Set(records.map(({ target }) => target.digest));
    for (const digest of this.#unreadable)
      if (!targets.has(digest)) this.#unreadable.delete(digest);
    for (const record of records) {
      if (this.#unreadable.has(record.target.digest)) continue;
      try {
        if (!this.#catalog.imageOf(record)) await this.refresh(record, call);
      } catch (err) {
        // The same bytes will be no image the next time either.
        if (isFault(err, "FAILED_PRECONDITION", "RESOURCE_EXHAUSTED")) {
          this.#unreadable.add(record.target.digest);
        }
        this.#options.log.debug({ image: record.name, err }, "image is not whole yet");
      }
      await this.#adopt(record, call);
    }
  }

  /** A whole image that others brought in is CRI's from now on. Tried again at the next change, and start. */
  async #adopt(record: ImageRecord, call: Cancellable): Promise<void> {
    const id = this.#catalog.imageOf(record);
    if (!id || isManaged(record)) return;
    try {
      this.#tell(await this.records.adopt(record, id, call));
      this.#catalog.changed();
    } catch (err) {
      this.#options.log.warn({ image: record.name, err }, "image cannot be labelled as managed");
    }
  }

  async inspect(image: Image, call: Cancellable): Promise<string | undefined> {
    const { content, namespace } = this.#options;
    if (!content.info(namespace, image.id)) return undefined;
    return (await content.read(image.id, call)).toString("utf8");
  }

  async refresh({ target }: ImageRecord, call: Cancellable): Promise<boolean> {
    this.#catalog.changed();
    const { content, namespace } = this.#options;
    const tree = await this.#readTree(noSource, target, call);
    const isWhole =
      this.#unpacker.has(tree.chainIds.at(-1) ?? "") ||
      tree.manifest.layers.every(({ digest }) => content.info(namespace, digest));
    if (isWhole) this.#catalog.learn(tree);
    return isWhole;
  }

  async unpack(image: Image, call: Cancellable): Promise<void> {
    if (this.#catalog.isBuiltin(image)) {
      const name = image.repoTags[0] ?? image.id;
      throw fault("FAILED_PRECONDITION", `image "${name}" is built in for sandboxes alone`);
    }
    if (this.#unpacker.has(image.chainId)) return;
    const known = this.#catalog.treeOf(image.id);
    // An extraction may take as long as the image's author likes: what it needs is pinned, and collections go on.
    using _pins = await this.#pins.keep(
      known ? resourcesOf(known, this.#options.snapshotter) : [],
      call,
    );
    const tree = this.#catalog.treeOf(image.id);
    if (!tree) throw fault("NOT_FOUND", `image "${image.id}" was removed meanwhile`);
    await this.#unpackTree(tree, noSource, call);
    this.#options.log.info(
      { image: image.repoTags[0] ?? "", id: image.id },
      "image unpacked for its first use",
    );
  }

  transferOf(reference: string): Transfer | undefined {
    try {
      return this.transfers.pullOf(canonicalName(parseReference(reference)));
    } catch {
      return undefined; // no name of an image: its pull fails
    }
  }

  async pull(
    reference: string,
    { auth, signal }: { readonly auth?: RegistryAuth } & Cancellable,
  ): Promise<Image> {
    const known = this.find(reference);
    if (known && this.#catalog.isBuiltin(known)) return known;
    const parsed = parseReference(reference);
    const key = pullKey(parsed, auth);
    const image = await this.#pulls.join(
      key,
      (own, progress) =>
        this.transfers.during("pull", canonicalName(parsed), async (transfer) => {
          this.#pulling.set(key, transfer);
          try {
            return await this.#pullOnce(parsed, auth, { progress, transfer }, own);
          } finally {
            if (this.#pulling.get(key) === transfer) this.#pulling.delete(key);
          }
        }),
      { signal },
    );
    this.#collectDiscarded();
    return image;
  }

  pulling(reference: string, auth: RegistryAuth | undefined): Transfer | undefined {
    return this.#pulling.get(pullKey(parseReference(reference), auth));
  }

  async push(reference: string, { signal, ...options }: PushOptions): Promise<PushedImage> {
    const call = { signal };
    using pins = new DisposableStack();
    const keepThem = this.#keeping(pins, call);
    const keep = (blobs: readonly Digest[]): Promise<void> =>
      keepThem(...blobs.map((id) => ({ type: "content", id })));
    const settings = { ...this.#options, documents: this.#documents, keep };
    const { target, name } = this.#targetOf(reference);
    const destination = options.destination || name;
    // Before it is shown to others: as long as it likes, and of any characters, it is no name.
    const to = { target, reference: destinationOf(destination) };
    return await this.transfers.during("push", destination ?? reference, (transfer) => {
      const onStep = (step: TransferStep): void => {
        transfer.step(step);
        options.onStep?.(step);
      };
      const told = { ...options, onStep, onBytes: (bytes: number) => transfer.moved(bytes) };
      return pushStored(to, told, settings, call);
    });
  }

  /** What a reference stands for, and its name; undefined where it is an id. */
  #targetOf(reference: string): { readonly target: Descriptor; readonly name: string | undefined } {
    const image = this.find(reference);
    if (image && this.#catalog.isBuiltin(image)) {
      throw fault("FAILED_PRECONDITION", `cannot push image "${reference}": it is built in`);
    }
    const record = this.#catalog.recordOf(reference);
    if (record && record.name !== image?.id) return { target: record.target, name: record.name };
    const tree = image && this.#catalog.treeOf(image.id);
    if (!tree) throw fault("NOT_FOUND", `image "${reference}" not found`);
    return { target: tree.target, name: undefined };
  }

  async load(
    path: string,
    { name, onImage, onStep, signal }: LoadOptions,
  ): Promise<readonly Image[]> {
    const { content, namespace, platform } = this.#options;
    const call = { signal };
    using pins = new DisposableStack();
    const keep = this.#keeping(pins, call);
    try {
      await using archive = await openArchive(path, call);
      const from = {
        archive,
        content,
        namespace,
        keep: (id: Digest) => keep({ type: "content", id }),
        onStep,
      };
      const source = new ArchiveSource(from);
      const images: Image[] = [];
      const reading = { ...from, documents: this.#documents, platform };
      const listed = await readArchive(reading, name, call);
      const wanted = archive.isInflated ? await this.#layersOf(listed, source, call, keep) : [];
      await using _ahead = source.fetchAhead(wanted, call);
      for (const found of listed) {
        const image = await this.#register(found, source, call, keep);
        onImage?.(image, found.names);
        images.push(image);
      }
      return images;
    } catch (error) {
      this.#options.garbage.schedule(namespace); // what came in, and belongs to no image
      throw notLoaded(path, error);
    }
  }

  /** Those of the images that can be read; of others it is told when they are registered. */
  async #layersOf(
    images: readonly ArchivedImage[],
    source: ImageSource,
    call: Cancellable,
    keep: Keep,
  ): Promise<readonly Descriptor[]> {
    const layers: Descriptor[] = [];
    for (const { target } of images) {
      try {
        const keepOne = (id: Digest): Promise<void> => keep({ type: "content", id });
        layers.push(...(await this.#readTree(source, target, call, keepOne)).manifest.layers);
      } catch (error) {
        if (!isFault(error)) throw error;
      }
    }
    return layers;
  }

  async *verify(
    reference: string | undefined,
    call: Cancellable,
  ): AsyncGenerator<DamageFinding, VerifiedCounts, undefined> {
    const image = reference === undefined ? undefined : this.find(reference);
    if (reference !== undefined && !image) {
      throw fault("NOT_FOUND", `image "${reference}" not found`);
    }
    if (image && this.#catalog.isBuiltin(image)) {
      throw fault("FAILED_PRECONDITION", `cannot verify image "${reference}": it is built in`);
    }
    const named = this.#catalog.trees().map((tree) => ({ tree, names: this.#namesFor(tree.id) }));
    const keep = (tree: ImageTree, own: Cancellable): Promise<Disposable> =>
      this.#pins.keep(resourcesOf(tree, this.#options.snapshotter), own);
    const wanted = image ? named.filter(({ tree }) => tree.id === image.id) : named;
    const verification = { stores: this.#options, keep };
    const counts = yield* verifyImages(wanted, verification, call);
    if (image) return counts;
    // Names that lead to no image that could be read.
    const lost = this.records.list().filter((record) => !this.#catalog.imageOf(record));
    for (const { name } of lost) {
      const problem = "it is not whole, or no image: it is not listed";
      yield { images: [name], object: `image ${name}`, problem, isDropped: false };
    }
    return { ...counts, images: counts.images + lost.length };
  }

  #namesFor(id: Digest): readonly string[] {
    const { repoTags = [], repoDigests = [] } = this.#catalog.find(id) ?? {};
    const [name = repoDigests[0] ?? id, ...others] = repoTags;
    return [name, ...others];
  }

  async remove(reference: string, { signal }: Cancellable): Promise<void> {
    signal.throwIfAborted();
    const image = this.find(reference);
    if (image && this.#catalog.isBuiltin(image)) {
      throw fault("FAILED_PRECONDITION", `cannot remove image "${reference}": it is built in`);
    }
    this.#tell(await this.records.remove(this.#catalog.namesOf(reference), { signal }));
    this.#catalog.changed();
    await dropIdleDownloads(this.#options); // a client that removes an image wants its space
    using limit = timeLimit(collectMs);
    await this.collectGarbage(limit);
  }

  released(chainId: string): void {
    const isOfImage = this.list().some((image) => image.chainId === chainId);
    if (!isOfImage) this.#options.garbage.schedule(this.#options.namespace);
  }

  async collectGarbage(call: Cancellable): Promise<boolean> {
    return this.#options.garbage.collect(this.#options.namespace, call);
  }

  usage(call: Cancellable): ReturnType<Images["usage"]> {
    return imagesUsage(this.#options, call);
  }

  async #pullOnce(
    reference: Reference,
    auth: RegistryAuth | undefined,
    { progress, transfer }: Pulling,
    call: Cancellable,
  ): Promise<Image> {
    const { config, content, namespace, log } = this.#options;
    const startedAt = performance.now();
    using pins = new DisposableStack();
    const keepThem = this.#keeping(pins, call);
    const keep: Keep = (...kept) => {
      progress(Number.POSITIVE_INFINITY); // who waits for a collection does not stand still
      return keepThem(...kept);
    };
    using client = await openRegistry(reference, auth, {
      ...this.#options,
      documents: this.#documents,
    });
    const { pullProgressTimeoutMs, maxConcurrentDownloads } = config;
    try {
      const image = await pullEachMeaning(client, call, (target) => {
        const source = new RegistrySource({
          client,
          content,
          namespace,
          progressTimeoutMs: pullProgressTimeoutMs,
          maxConcurrentDownloads,
          onBytes: (bytes) => {
            transfer.moved(bytes);
            progress(bytes);
          },
          onStep: (step) => transfer.step(step),
        });
        const byDigest = `${repositoryName(reference)}@${target.digest}`;
        const names = [...new Set([canonicalName(reference), byDigest])];
        return this.#register({ target, names }, source, call, keep);
      });
      const durationMs = Math.round(performance.now() - startedAt);
      log.info({ image: canonicalName(reference), id: image.id, durationMs }, "image pulled");
      return image;
    } catch (error) {
      if (isAbort(error) && call.signal.aborted) throw call.signal.reason;
      throw namingImage(error, canonicalName(reference));
    }
  }

  /** Brings in what the target leads to, unpacks it, and only then names it. */
  async #register(
    { target, names }: ArchivedImage,
    source: ImageSource,
    call: Cancellable,
    keep: Keep,
  ): Promise<Image> {
    const tree = await this.#readTree(source, target, call, (id) => keep({ type: "content", id }));
    const others = otherPlatform(tree, this.#options.platform);
    const [name = tree.id] = names;
    if (others) this.#options.log.warn({ image: name, ...others }, "image is for another platform");
    await keep(...resourcesOf(tree, this.#options.snapshotter));
    await this.#unpackTree(tree, source, call);
    // Also by its id, as containerd's CRI has it: some clients look for that.
    this.#tell(await this.records.point([...names, tree.id], tree.target, call));
    this.#catalog.learn(tree);
    const image = this.#catalog.find(tree.id);
    if (!image) throw fault("INTERNAL", `image "${tree.id}" was registered but is not listed`);
    return image;
  }

  #tell(changes: readonly NameChange[]): void {
    for (const change of changes) this.#options.onNameChange?.(change);
  }

  /** Keeps what is brought in from collections until `pins` are disposed. */
  #keeping(pins: DisposableStack, call: Cancellable): Keep {
    return async (...kept) => {
      pins.use(await this.#pins.keep(kept, call));
    };
  }

  async #unpackTree(tree: ImageTree, source: ImageSource, call: Cancellable): Promise<void> {
    const { content, namespace, config } = this.#options;
    const discards = config.discardUnpackedLayers;
    const chained = tree.manifest.layers.map((layer, at) => ({
      layer,
      diffId: tree.document.diffIds[at] ?? layer.digest,
      chainId: tree.chainIds[at] ?? layer.digest,
    }));
    const isGiven = (digest: Digest): boolean => {
      const known = content.info(namespace, digest);
      return known !== undefined && source.gives(known);
    };
    const stepOf = ({ digest, size }: Descriptor, state: TransferStep["state"]): void =>
      source.onStep?.({
        digest,
        kind: "layer",
        state,
        doneBytes: state === "waiting" && !isGiven(digest) ? 0 : size,
        totalBytes: size,
      });
    for (const { layer } of chained) stepOf(layer, "waiting");
    const layers = chained.map((one) => ({
      digest: one.layer.digest,
      diffId: one.diffId,
      chainId: one.chainId,
      sizeBytes: one.layer.size,
      fetch: async (own: Cancellable, begin: BeginEarly) => {
        if (isGiven(one.layer.digest)) return;
        const known = content.info(namespace, one.layer.digest);
        if (!known && discards && (await standsFor(this.#options, one, source, own))) return;
        await source.fetch(one.layer, own, begin);
      },
      onState: (state: TransferStep["state"]) => stepOf(one.layer, state),
    }));
    await this.#unpacker.unpack(layers, call);
    if (discards) for (const one of chained) await noteSources(this.#options, one);
    await labelTree(this.#options, tree, { withoutLayers: discards });
  }

  #isDiscarded({ manifestDigest }: ImageTree): boolean {
    const { content, namespace } = this.#options;
    return isDiscarded(content.info(namespace, manifestDigest)?.labels);
  }

  /** Once nothing holds an image's layers any more. */
  #collectDiscarded(): void {
    const { config, garbage, namespace } = this.#options;
    if (config.discardUnpackedLayers) garbage.schedule(namespace);
  }

  #readTree(
    source: ImageSource,
    target: ArchivedImage["target"],
    call: Cancellable,
    keep?: (blob: Digest) => Promise<void>,
  ): Promise<ImageTree> {
    const reading = { ...this.#options, documents: this.#documents, ...(keep && { keep }) };
    return readImageTree(reading, source, target, call);
  }
}

/** Who hears of a pull that goes on. */
interface Pulling {
  readonly progress: (bytes: number) => void;
  readonly transfer: Transfer;
}

/** Callers with other credentials must not share a pull. */
function pullKey(reference: Reference, auth: RegistryAuth | undefined): string {
  return JSON.stringify([canonicalName(reference), auth ?? null]);
}

type Keep = (...kept: readonly Resource[]) => Promise<void>;

/** What is wrong with an archive, or with the disk. */
const toldOfLoads = [
  "INVALID_ARGUMENT",
  "FAILED_PRECONDITION",
  "RESOURCE_EXHAUSTED",
  "UNKNOWN",
] as const;

function notLoaded(path: string, error: unknown): unknown {
  const isTold = isFault(error, ...toldOfLoads);
  if (!isTold && !isBroken(error)) return error;
  const code = isTold ? error.code : "INVALID_ARGUMENT";
  const why = isTold ? error.message : `it is cut off or damaged: ${error.message}`;
  return fault(code, `cannot load "${path}": ${why}`, { cause: error });
}

/** Whether zlib reports a broken archive. */
function isBroken(error: unknown): error is Error {
  return /^Z(STD_error)?_/.test(errnoOf(error) ?? "");
}
