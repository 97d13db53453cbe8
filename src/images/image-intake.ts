// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import { fault } from "../base/errors.ts";
import type { Digest } from "../content/ports.ts";
import type { Resource } from "../metadata/leases.ts";
import type { ArchivedImage } from "./archive/read-archive.ts";
import { noteSources, standsFor } from "./discarded-layers.ts";
import type { ImageCatalog } from "./image-catalog.ts";
import type { ImagesOptions } from "./image-library.ts";
import type { ImageRecords, NameChange } from "./image-records.ts";
import type { BeginEarly, ImageSource } from "./image-source.ts";
import { type ImageTree, otherPlatform, readImageTree, type TreeReading } from "./image-tree.ts";
import { labelTree } from "./label-tree.ts";
import { DocumentReader } from "./manifest/document-reader.ts";
import type { Descriptor } from "./manifest/documents.ts";
import type { Image, TransferStep } from "./ports.ts";
import { type PullPins, resourcesOf } from "./pull-pins.ts";
import { StoredBeside } from "./stored-beside.ts";
import type { Unpacker } from "./unpack/unpacker.ts";

/** Keeps what is brought in from collections. */
export type Keep = (...kept: readonly Resource[]) => Promise<void>;

export interface ImageStores {
  readonly records: ImageRecords;
  readonly catalog: ImageCatalog;
  readonly unpacker: Unpacker;
  readonly pins: PullPins;
}

/** How an image comes in, from a registry or an archive: its documents, its layers, its names. */
export class ImageIntake {
  readonly documents = new DocumentReader();
  readonly #options: ImagesOptions;
  readonly #stores: ImageStores;

  constructor(options: ImagesOptions, stores: ImageStores) {
    this.#options = options;
    this.#stores = stores;
  }

  /** Keeps what is brought in from collections until `pins` are disposed. */
  keeping(pins: DisposableStack, call: Cancellable): Keep {
    return async (...kept) => {
      pins.use(await this.#stores.pins.keep(kept, call));
    };
  }

  readTree(
    source: ImageSource,
    target: ArchivedImage["target"],
    call: Cancellable,
    bringing: Pick<TreeReading, "beside" | "keep"> = {},
  ): Promise<ImageTree> {
    const reading = { ...this.#options, documents: this.documents, ...bringing };
    return readImageTree(reading, source, target, call);
  }

  /** Brings in what the target leads to, unpacks it, and only then names it. */
  async register(
    { target, names }: ArchivedImage,
    source: ImageSource,
    call: Cancellable,
    keep: Keep,
  ): Promise<Image> {
    await using beside = new StoredBeside(call);
    const keepOne = (id: Digest): Promise<void> => keep({ type: "content", id });
    const tree = await this.readTree(source, target, beside.call, { keep: keepOne, beside });
    const others = otherPlatform(tree, this.#options.platform);
    const [name = tree.id] = names;
    if (others) this.#options.log.warn({ image: name, ...others }, "image is for another platform");
    await keep(...resourcesOf(tree, this.#options.snapshotter));
    await this.unpackTree(tree, source, beside.call, () => beside.all());
    // Also by its id, as containerd's CRI has it: some clients look for that.
    this.tell(await this.#stores.records.point([...names, tree.id], tree.target, call));
    this.#stores.catalog.learn(tree);
    const image = this.#stores.catalog.find(tree.id);
    if (!image) throw fault("INTERNAL", `image "${tree.id}" was registered but is not listed`);
    return image;
  }

  /** Tells whom it concerns of the names that have changed. */
  tell(changes: readonly NameChange[]): void {
    for (const change of changes) this.#options.onNameChange?.(change);
  }

  /**
   * Fetches and unpacks the layers that are not here, and labels what belongs together: once the documents are stored,
   * where that is still under way.
   */
  async unpackTree(
    tree: ImageTree,
    source: ImageSource,
    call: Cancellable,
    documentsStored?: () => Promise<void>,
  ): Promise<void> {
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
    await this.#stores.unpacker.unpack(layers, call);
    if (discards) for (const one of chained) await noteSources(this.#options, one);
    await documentsStored?.();
    await labelTree(this.#options, tree, { withoutLayers: discards });
  }
}
