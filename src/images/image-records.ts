// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import type { KeyedMutex } from "../base/keyed-mutex.ts";
import { nowNanos } from "../base/now.ts";
import type { Digest } from "../content/ports.ts";
import type { MetadataStore, RecordCodec, RecordTable } from "../metadata/ports.ts";
import { StoredFields } from "../metadata/stored-fields.ts";
import type { Descriptor } from "./manifest/documents.ts";
import { nameKey, nameLocks } from "./name-locks.ts";

/** A name and what it points to: containerd's image record. */
export interface ImageRecord {
  readonly name: string;
  readonly target: Descriptor;
  readonly labels: Readonly<Record<string, string>>;
  readonly createdAtNanos: bigint;
  readonly updatedAtNanos: bigint;
}

/** What has become of a name; of one that is gone the labels do not matter. */
export interface NameChange {
  readonly kind: "create" | "update" | "delete";
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** By this label containerd's clients know which images belong to CRI. */
const managedLabel = "io.cri-containerd.image";
const managed = { [managedLabel]: "managed" };

/** True for a name that has CRI's label. */
export function isManaged({ labels }: ImageRecord): boolean {
  return labels[managedLabel] === managed[managedLabel];
}

interface StoredImage {
  readonly name: string;
  readonly target: {
    readonly mediaType: string;
    readonly digest: string;
    readonly size: number;
    readonly annotations: Record<string, string>;
  };
  readonly labels: Record<string, string>;
  readonly createdAt: string;
  readonly updatedAt: string;
}

const codec: RecordCodec<ImageRecord> = {
  version: 1,
  encode: ({ name, target, labels, createdAtNanos, updatedAtNanos }): StoredImage => ({
    name,
    target: {
      mediaType: target.mediaType,
      digest: target.digest,
      size: target.size,
      annotations: { ...target.annotations },
    },
    labels: { ...labels },
    createdAt: String(createdAtNanos),
    updatedAt: String(updatedAtNanos),
  }),
  decode: (value) => {
    const stored = new StoredFields("image", value);
    const target = stored.fields("target");
    return {
      name: stored.text("name"),
      target: {
        mediaType: target.text("mediaType"),
        digest: target.text("digest") as Digest,
        size: target.integer("size"),
        annotations: target.textMap("annotations"),
      },
      labels: stored.textMap("labels"),
      createdAtNanos: stored.decimal("createdAt"),
      updatedAtNanos: stored.decimal("updatedAt"),
    };
  },
};

/** Image records, by namespace and name. */
export function imagesTable(store: MetadataStore): RecordTable<ImageRecord> {
  return store.table("images", codec);
}

/** The image records of one namespace. */
export class ImageRecords {
  readonly #metadata: MetadataStore;
  readonly #table: RecordTable<ImageRecord>;
  readonly #locks: KeyedMutex;
  readonly #namespace: string;

  constructor(metadata: MetadataStore, namespace: string) {
    this.#metadata = metadata;
    this.#table = imagesTable(metadata);
    this.#locks = nameLocks(metadata);
    this.#namespace = namespace;
  }

  get(name: string): ImageRecord | undefined {
    return this.#table.get(this.#namespace, name);
  }

  list(): readonly ImageRecord[] {
    return this.#table.list(this.#namespace);
  }

  /** Points names of CRI's at a target, all or none; a name that exists keeps its other labels and age. */
  async point(
    names: readonly string[],
    target: Descriptor,
    call: Cancellable,
  ): Promise<readonly NameChange[]> {
    using _locks = await this.#lock(names, call);
    return await this.#point(names, target);
  }

  /**
   * Makes a client's name CRI's, as containerd does: the image gets a name by its id too, and both the label. Nothing
   * changes where the name is gone or points elsewhere by now. By the label alone it is known what has been done, so a
   * name by the id that a client removes stays away.
   */
  async adopt(
    { name, target: { digest } }: ImageRecord,
    id: Digest,
    call: Cancellable,
  ): Promise<readonly NameChange[]> {
    using _locks = await this.#lock([name, id], call);
    const record = this.get(name);
    if (!record || record.target.digest !== digest || isManaged(record)) return [];
    const byId = this.get(id);
    const isThere = byId && isManaged(byId) && byId.target.digest === digest;
    return await this.#point(isThere ? [name] : [...new Set([id, name])], record.target);
  }

  async #point(names: readonly string[], target: Descriptor): Promise<readonly NameChange[]> {
    const now = nowNanos();
    const changes: NameChange[] = [];
    await this.#metadata.transaction((tx) => {
      for (const name of names) {
        const known = this.get(name);
        const labels = { ...known?.labels, ...managed };
        tx.put(this.#table, this.#namespace, name, {
          name,
          target,
          labels,
          createdAtNanos: known?.createdAtNanos ?? now,
          updatedAtNanos: now,
        });
        changes.push({ kind: known ? "update" : "create", name, labels });
      }
    });
    return changes;
  }

  /** Stores a record as it is. */
  async put(record: ImageRecord): Promise<void> {
    await this.#table.put(this.#namespace, record.name, record);
  }

  /** Removes names, all or none; names that are gone are no error. */
  async remove(names: readonly string[], call: Cancellable): Promise<readonly NameChange[]> {
    using _locks = await this.#lock(names, call);
    const present = names.filter((name) => this.get(name) !== undefined);
    await this.#metadata.transaction((tx) => {
      for (const name of present) tx.delete(this.#table, this.#namespace, name);
    });
    return present.map((name) => ({ kind: "delete", name, labels: {} }));
  }

  async #lock(names: readonly string[], call: Cancellable): Promise<Disposable> {
    using locks = new DisposableStack();
    const keys = [...new Set(names)].map((name) => nameKey(this.#namespace, name)).sort();
    for (const key of keys) locks.use(await this.#locks.lock(key, call));
    return locks.move();
  }
}
