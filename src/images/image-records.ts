// SPDX-License-Identifier: Apache-2.0
import { nowNanos } from "../base/now.ts";
import type { Digest } from "../content/ports.ts";
import type { MetadataStore, RecordCodec, RecordTable } from "../metadata/ports.ts";
import { StoredFields } from "../metadata/stored-fields.ts";
import type { Descriptor } from "./manifest/documents.ts";

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
const managed = { "io.cri-containerd.image": "managed" };

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
  readonly #namespace: string;

  constructor(metadata: MetadataStore, namespace: string) {
    this.#metadata = metadata;
    this.#table = imagesTable(metadata);
    this.#namespace = namespace;
  }

  get(name: string): ImageRecord | undefined {
    return this.#table.get(this.#namespace, name);
  }

  list(): readonly ImageRecord[] {
    return this.#table.list(this.#namespace);
  }

  /** Points names of CRI's at a target, all or none; a name that exists keeps its other labels and age. */
  async point(names: readonly string[], target: Descriptor): Promise<readonly NameChange[]> {
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
  async remove(names: readonly string[]): Promise<readonly NameChange[]> {
    const present = names.filter((name) => this.get(name) !== undefined);
    await this.#metadata.transaction((tx) => {
      for (const name of present) tx.delete(this.#table, this.#namespace, name);
    });
    return present.map((name) => ({ kind: "delete", name, labels: {} }));
  }
}
