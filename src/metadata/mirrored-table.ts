// SPDX-License-Identifier: Apache-2.0
import { fault } from "../base/errors.ts";
import type { RecordCodec, RecordTable } from "./ports.ts";

/** A row as it is stored. `value` is JSON text. */
export interface StoredRow {
  readonly table: string;
  readonly namespace: string;
  readonly id: string;
  readonly version: number;
  readonly value: string;
}

export interface RowKey {
  readonly table: string;
  readonly namespace: string;
  readonly id: string;
}

/** One change to the stored rows. `set-aside` moves a row that cannot be decoded out of the way. */
export type RowChange =
  | { readonly kind: "put"; readonly row: StoredRow }
  | { readonly kind: "delete"; readonly key: RowKey }
  | { readonly kind: "set-aside"; readonly key: RowKey; readonly reason: string };

/** A change together with its effect on the mirror, applied once the change is durable. */
export interface PendingChange {
  readonly change: RowChange;
  readonly publish: () => void;
}

/** Makes changes durable, all or none; resolves when they are, and have been published. */
export type Commit = (changes: readonly PendingChange[]) => Promise<void>;

/** The memory side of one table. Maps keep insertion order, and a replaced record keeps its place. */
export class MirroredTable<T> implements RecordTable<T> {
  readonly name: string;
  readonly codec: RecordCodec<T>;
  readonly #commit: Commit;
  readonly #namespaces = new Map<string, Map<string, T>>();

  constructor(name: string, codec: RecordCodec<T>, commit: Commit) {
    this.name = name;
    this.codec = codec;
    this.#commit = commit;
  }

  get(namespace: string, id: string): T | undefined {
    return this.#namespaces.get(namespace)?.get(id);
  }

  has(namespace: string, id: string): boolean {
    return this.#namespaces.get(namespace)?.has(id) ?? false;
  }

  list(namespace: string): readonly T[] {
    return [...(this.#namespaces.get(namespace)?.values() ?? [])];
  }

  entries(): readonly { readonly namespace: string; readonly id: string; readonly record: T }[] {
    return [...this.#namespaces].flatMap(([namespace, records]) =>
      [...records].map(([id, record]) => ({ namespace, id, record })),
    );
  }

  put(namespace: string, id: string, record: T): Promise<void> {
    return Promise.try(() => this.#commit([this.putting(namespace, id, record)]));
  }

  delete(namespace: string, id: string): Promise<void> {
    return this.#commit([this.deleting(namespace, id)]);
  }

  putting(namespace: string, id: string, record: T): PendingChange {
    const { version } = this.codec;
    const value = JSON.stringify(this.codec.encode(record));
    if (value === undefined) {
      throw fault("INTERNAL", `cannot store ${this.name} "${id}": its codec gave no value`);
    }
    return {
      change: { kind: "put", row: { table: this.name, namespace, id, version, value } },
      publish: () => this.load(namespace, id, record),
    };
  }

  deleting(namespace: string, id: string): PendingChange {
    return {
      change: { kind: "delete", key: { table: this.name, namespace, id } },
      publish: () => {
        const records = this.#namespaces.get(namespace);
        records?.delete(id);
        if (records?.size === 0) this.#namespaces.delete(namespace);
      },
    };
  }

  /** Puts a record that is stored already. */
  load(namespace: string, id: string, record: T): void {
    let records = this.#namespaces.get(namespace);
    if (!records) {
      records = new Map();
      this.#namespaces.set(namespace, records);
    }
    records.set(id, record);
  }
}
