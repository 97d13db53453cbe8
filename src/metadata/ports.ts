// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";

/**
 * The metadata store: durable records in named tables, mirrored in memory.
 *
 * Terms: a *table* holds records of one kind; a record is found by *namespace* and *id* (tables that
 * know no namespaces use ""). Reads come from the memory mirror: they are synchronous and never wait
 * for a disk. Writes resolve when the record is durable, and only then become visible to reads, so
 * nothing that a client was shown can be lost. Writes of one tick share one transaction.
 */
export interface MetadataStore extends AsyncDisposable {
  /**
   * Opens (and makes, when new) a table. `codec` turns a record into a JSON-able value and back;
   * `version` is stored with each row, and `decode` gets it for rows that an older daemon wrote.
   * A row that fails to decode is set aside (`damaged`), never a failed boot.
   */
  table<T>(name: string, codec: RecordCodec<T>): RecordTable<T>;
  /** Runs `change` and makes all its puts and deletes, in any tables, durable as one transaction. */
  transaction(change: (tx: Transaction) => void, options?: Partial<Cancellable>): Promise<void>;
  /** Why nothing can be stored any more, for as long as it is so: somebody has removed, replaced or cut off a file. */
  readonly harm: string | undefined;
  /** Rows that could not be decoded at start: table, namespace, id and why. */
  readonly damaged: readonly DamagedRow[];
}

export interface RecordCodec<T> {
  readonly version: number;
  /** To a value that survives JSON; Buffers and bigints must be turned into strings here. */
  encode(record: T): unknown;
  decode(value: unknown, version: number): T;
}

export interface DamagedRow {
  readonly table: string;
  readonly namespace: string;
  readonly id: string;
  readonly reason: string;
}

export interface RecordTable<T> {
  readonly name: string;
  get(namespace: string, id: string): T | undefined;
  has(namespace: string, id: string): boolean;
  /** All records of a namespace, in insertion order. */
  list(namespace: string): readonly T[];
  entries(): readonly { readonly namespace: string; readonly id: string; readonly record: T }[];
  /** Durable when resolved. Replaces any record of that key. */
  put(namespace: string, id: string, record: T): Promise<void>;
  /** Durable when resolved; no error when the record is absent. */
  delete(namespace: string, id: string): Promise<void>;
}

export interface Transaction {
  put<T>(table: RecordTable<T>, namespace: string, id: string, record: T): void;
  delete<T>(table: RecordTable<T>, namespace: string, id: string): void;
}
