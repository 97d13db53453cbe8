// SPDX-License-Identifier: Apache-2.0

import { isFault } from "../base/errors.ts";
import { algorithmOf, hexOf, isDigest } from "../content/digest.ts";
import type { Digest } from "../content/ports.ts";
import type { ImageRecord, ImageRecords } from "./image-records.ts";
import type { ImageTree } from "./image-tree.ts";
import { isPinnedName } from "./pinned-names.ts";
import type { Image } from "./ports.ts";
import { canonicalName, parseReference } from "./reference.ts";

/** An image that comes with the daemon: never pulled, never removed. */
export interface BuiltinImage {
  readonly name: string;
  /** Digest of what it consists of; it stands for the config's digest. */
  readonly id: Digest;
  readonly sizeBytes?: bigint;
}

/**
 * Images as CRI sees them, in memory: the records grouped by the config they lead to. A record whose
 * image lacks content is known to containerd's clients only.
 */
export class ImageCatalog {
  readonly #records: ImageRecords;
  readonly #trees = new Map<Digest, ImageTree>();
  readonly #builtin: readonly Image[];
  readonly #pinned: () => readonly string[];
  #images: ReadonlyMap<Digest, Image> | undefined;
  /** The patterns that `#images` was made by. */
  #pinnedBy: readonly string[] = [];

  /** `pinned` answers patterns of names; other patterns are another array. */
  constructor(
    records: ImageRecords,
    builtin: readonly BuiltinImage[],
    pinned: () => readonly string[],
  ) {
    this.#records = records;
    this.#pinned = pinned;
    this.#builtin = builtin.map(builtinImage);
  }

  /** Remembers which image the target of some records is. */
  learn(tree: ImageTree): void {
    this.#trees.set(tree.target.digest, tree);
    this.changed();
  }

  /** The image of the record, when it is known. */
  imageOf({ target }: ImageRecord): Digest | undefined {
    return this.#trees.get(target.digest)?.id;
  }

  /** Call after any change of the records. */
  changed(): void {
    this.#images = undefined;
  }

  list(): readonly Image[] {
    return [...this.#builtin, ...this.#all().values()];
  }

  /** By name, digest reference, id, or a prefix of one id. */
  find(reference: string): Image | undefined {
    const builtin = this.#findBuiltin(reference);
    if (builtin) return builtin;
    const images = this.#all();
    if (isDigest(reference)) return images.get(reference) ?? this.#byTarget(reference);
    const record = this.recordOf(reference);
    if (record) return this.#byTarget(record.target.digest);
    return byPrefix([...this.#builtin, ...images.values()], reference);
  }

  /** The record that a reference names, whatever is known of its image. */
  recordOf(reference: string): ImageRecord | undefined {
    return this.#records.get(canonicalOf(reference) ?? reference);
  }

  /** All names that lead to the image; or to what the reference names, where that is no complete image. */
  namesOf(reference: string): readonly string[] {
    const image = this.find(reference);
    if (!image) {
      const record = this.recordOf(reference);
      return record ? [record.name] : [];
    }
    return this.#records
      .list()
      .filter(({ target }) => this.#trees.get(target.digest)?.id === image.id)
      .map(({ name }) => name);
  }

  isBuiltin(image: Image): boolean {
    return this.#builtin.includes(image);
  }

  /** The images that records lead to; those that no record leads to any more are forgotten. */
  trees(): readonly ImageTree[] {
    const used = new Set(this.#records.list().map(({ target }) => target.digest));
    for (const digest of this.#trees.keys()) {
      if (!used.has(digest)) this.#trees.delete(digest);
    }
    return [...this.#trees.values()];
  }

  /** The blobs and layers of an image. */
  treeOf(id: Digest): ImageTree | undefined {
    return [...this.#trees.values()].find((tree) => tree.id === id);
  }

  #byTarget(digest: Digest): Image | undefined {
    const tree = this.#trees.get(digest);
    return tree && this.#all().get(tree.id);
  }

  #findBuiltin(reference: string): Image | undefined {
    if (this.#builtin.length === 0) return undefined;
    const name = canonicalOf(reference) ?? reference;
    return this.#builtin.find(
      ({ id, repoTags }) =>
        id === reference || repoTags.some((tag) => tag === reference || canonicalOf(tag) === name),
    );
  }

  #all(): ReadonlyMap<Digest, Image> {
    const pinned = this.#pinned();
    if (pinned !== this.#pinnedBy) this.#images = undefined;
    this.#pinnedBy = pinned;
    this.#images ??= this.#build(pinned);
    return this.#images;
  }

  #build(pinned: readonly string[]): ReadonlyMap<Digest, Image> {
    const groups = new Map<Digest, { tree: ImageTree; records: ImageRecord[] }>();
    for (const record of this.#records.list()) {
      const tree = this.#trees.get(record.target.digest);
      if (!tree) continue;
      const group = groups.get(tree.id) ?? { tree, records: [] };
      group.records.push(record);
      groups.set(tree.id, group);
    }
    const images = new Map<Digest, Image>();
    for (const [id, { tree, records }] of groups) images.set(id, toImage(tree, records, pinned));
    return images;
  }
}

/** A name with this label keeps its image from the kubelet's collection. */
const pinnedLabel = "io.cri-containerd.pinned";

function toImage(
  tree: ImageTree,
  records: readonly ImageRecord[],
  pinned: readonly string[],
): Image {
  const names = records.map(({ name }) => name);
  return {
    id: tree.id,
    repoTags: names.filter((name) => !name.includes("@") && !isDigest(name)).sort(),
    repoDigests: names.filter((name) => name.includes("@")).sort(),
    sizeBytes: tree.sizeBytes,
    pinned: records.some(
      ({ name, labels }) => labels[pinnedLabel] === "pinned" || isPinnedName(pinned, name),
    ),
    chainId: tree.chainIds.at(-1) ?? "",
    config: tree.document.config,
    platform: tree.document.platform,
    layers: tree.chainIds.length,
  };
}

function builtinImage({ name, id, sizeBytes }: BuiltinImage): Image {
  return {
    id,
    repoTags: [name],
    repoDigests: [],
    sizeBytes: sizeBytes ?? 1n,
    pinned: true,
    chainId: "",
    config: {
      user: "",
      env: [],
      entrypoint: ["/pause"],
      cmd: [],
      workingDir: "/",
      volumes: [],
      stopSignal: "",
      labels: {},
    },
    platform: { os: "linux", architecture: "", variant: "" },
    layers: 0,
  };
}

function canonicalOf(reference: string): string | undefined {
  try {
    return canonicalName(parseReference(reference));
  } catch (error) {
    if (isFault(error, "INVALID_ARGUMENT")) return undefined;
    throw error;
  }
}

function byPrefix(images: readonly Image[], reference: string): Image | undefined {
  const [, algorithm, prefix = ""] = /^(?:(sha\d+):)?([0-9a-f]{3,128})$/.exec(reference) ?? [];
  if (prefix === "") return undefined;
  const isIt = ({ id }: Image): boolean =>
    hexOf(id).startsWith(prefix) && (algorithm ?? algorithmOf(id)) === algorithmOf(id);
  const matches = images.filter(isIt);
  return matches.length === 1 ? matches[0] : undefined;
}
