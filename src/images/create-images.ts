// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import { timeLimit } from "../base/deadline.ts";
import { fault, isAbort, isFault } from "../base/errors.ts";
import { settlesWithin } from "../base/waits.ts";
import type { Digest } from "../content/ports.ts";
import { isDiscarded } from "./discarded-layers.ts";
import { ImageCatalog } from "./image-catalog.ts";
import { ImageIntake, type Keep } from "./image-intake.ts";
import type { ImageLibrary, ImagesOptions } from "./image-library.ts";
import { type ImageRecord, ImageRecords, isManaged } from "./image-records.ts";
import { type ImageTree, noSource } from "./image-tree.ts";
import { imagesUsage } from "./images-usage.ts";
import { loadArchive } from "./load-archive.ts";
import type { Descriptor } from "./manifest/documents.ts";
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
import { Transfers } from "./progress/transfers.ts";
import { PullFlights } from "./pull-flights.ts";
import { PullPins, resourcesOf } from "./pull-pins.ts";
import { destinationOf, pushStored } from "./push/push-stored.ts";
import { canonicalName, parseReference, type Reference, repositoryName } from "./reference.ts";
import { pullEachMeaning } from "./registry/each-meaning.ts";
import { openRegistry } from "./registry/open-registry.ts";
import { RegistrySource } from "./registry/registry-source.ts";
import { dropIdleDownloads, dropStaleIngests } from "./stale-ingests.ts";
import { Unpacker } from "./unpack/unpacker.ts";
import { verifyImages } from "./verify/verify-images.ts";

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
  readonly #intake: ImageIntake;
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
    this.#intake = new ImageIntake(options, {
      records: this.records,
      catalog: this.#catalog,
      unpacker: this.#unpacker,
      pins: this.#pins,
    });
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
      this.#intake.tell(await this.records.adopt(record, id, call));
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
    const tree = await this.#intake.readTree(noSource, target, call);
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
    await this.#intake.unpackTree(tree, noSource, call);
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
    const keepThem = this.#intake.keeping(pins, call);
    const keep = (blobs: readonly Digest[]): Promise<void> =>
      keepThem(...blobs.map((id) => ({ type: "content", id })));
    const settings = { ...this.#options, documents: this.#intake.documents, keep };
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

  load(path: string, options: LoadOptions): Promise<readonly Image[]> {
    return loadArchive(path, options, this.#options, this.#intake);
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
    this.#intake.tell(await this.records.remove(this.#catalog.namesOf(reference), { signal }));
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
    const keepThem = this.#intake.keeping(pins, call);
    const keep: Keep = (...kept) => {
      progress(Number.POSITIVE_INFINITY); // who waits for a collection does not stand still
      return keepThem(...kept);
    };
    using client = await openRegistry(reference, auth, {
      ...this.#options,
      documents: this.#intake.documents,
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
        return this.#intake.register({ target, names }, source, call, keep);
      });
      const durationMs = Math.round(performance.now() - startedAt);
      log.info({ image: canonicalName(reference), id: image.id, durationMs }, "image pulled");
      return image;
    } catch (error) {
      if (isAbort(error) && call.signal.aborted) throw call.signal.reason;
      throw namingImage(error, canonicalName(reference));
    }
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
