// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import { fault } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import {
  MirroredTable,
  type PendingChange,
  type RowChange,
  type StoredRow,
} from "./mirrored-table.ts";
import type { DamagedRow, MetadataStore, RecordCodec, RecordTable, Transaction } from "./ports.ts";
import { RowBudget } from "./row-budget.ts";

/** Where rows are kept for good. One `write` is one transaction; writes never overlap. */
export interface RowWriter {
  write(changes: readonly RowChange[]): Promise<void>;
  close(): Promise<void>;
  /** See MetadataStore. */
  readonly harm?: string | undefined;
}

/** Bytes of text in one transaction; a change that is larger has one of its own. */
const groupBytes = 2 * 1024 * 1024;

interface Waiting {
  readonly changes: readonly PendingChange[];
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * A store whose reads come from memory and whose writes are grouped: what is asked for while a
 * transaction runs goes into the next one, so a burst costs two flushes of the disk, not hundreds.
 */
export class MirroredStore implements MetadataStore {
  readonly damaged: DamagedRow[] = [];
  readonly #writer: RowWriter;
  readonly #log: Logger;
  /** Rows of tables that nobody has opened yet. */
  readonly #unopened: Map<string, StoredRow[]>;
  readonly #tables = new Map<string, MirroredTable<unknown>>();
  readonly #budget = new RowBudget();
  #waiting: Waiting[] = [];
  #flushing: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  constructor(rows: readonly StoredRow[], writer: RowWriter, log: Logger) {
    this.#writer = writer;
    this.#log = log;
    this.#unopened = Map.groupBy(rows, (row) => row.table);
    for (const row of rows) this.#budget.count(row);
  }

  get harm(): string | undefined {
    return this.#writer.harm;
  }

  table<T>(name: string, codec: RecordCodec<T>): RecordTable<T> {
    const known = this.#tables.get(name);
    if (known) {
      if (known.codec !== codec) {
        throw fault("FAILED_PRECONDITION", `cannot open table "${name}": open with another codec`);
      }
      return known as MirroredTable<T>;
    }
    const table = new MirroredTable<T>(name, codec, (changes) => this.#commit(changes));
    this.#tables.set(name, table);
    for (const row of this.#unopened.get(name) ?? []) this.#load(table, row);
    this.#unopened.delete(name);
    return table;
  }

  async transaction(
    change: (tx: Transaction) => void,
    options: Partial<Cancellable> = {},
  ): Promise<void> {
    options.signal?.throwIfAborted();
    const changes: PendingChange[] = [];
    change({
      put: (table, namespace, id, record) => {
        changes.push(this.#own(table).putting(namespace, id, record));
      },
      delete: (table, namespace, id) => {
        changes.push(this.#own(table).deleting(namespace, id));
      },
    });
    if (changes.length > 0) await this.#commit(changes);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#flushing;
    await this.#writer.close();
  }

  #own<T>(table: RecordTable<T>): MirroredTable<T> {
    const known = this.#tables.get(table.name);
    if (known !== (table as unknown)) {
      throw fault("INVALID_ARGUMENT", `table "${table.name}" belongs to another store`);
    }
    return known as unknown as MirroredTable<T>;
  }

  #load<T>(table: MirroredTable<T>, row: StoredRow): void {
    const { namespace, id } = row;
    try {
      table.load(namespace, id, table.codec.decode(JSON.parse(row.value), row.version));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      const key = { table: table.name, namespace, id };
      this.damaged.push({ ...key, reason });
      this.#log.error({ ...key, err: error }, "metadata row is damaged, setting it aside");
      this.#commit([{ change: { kind: "set-aside", key, reason }, publish: () => {} }]).catch(
        (cause: unknown) => this.#log.warn({ ...key, err: cause }, "cannot set metadata row aside"),
      );
    }
  }

  #commit(changes: readonly PendingChange[]): Promise<void> {
    if (this.#closing) return Promise.reject(fault("UNAVAILABLE", "metadata store is closed"));
    try {
      for (const { change } of changes) {
        if (change.kind === "put") this.#budget.admit(change.row);
      }
    } catch (error) {
      return Promise.reject(error);
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ changes, resolve, reject });
      this.#flushing ??= this.#flush();
    });
  }

  async #flush(): Promise<void> {
    await Promise.resolve(); // lets everything that this turn of the loop writes into one transaction
    while (this.#waiting.length > 0) {
      const group = this.#nextGroup();
      try {
        await this.#write(group);
      } catch (error) {
        if (group.length === 1) group[0]?.reject(error);
        // A change that finds no room on the disk must not fail those that free some.
        else for (const one of group) await this.#write([one]).catch(one.reject);
      }
    }
    this.#flushing = undefined;
  }

  async #write(group: readonly Waiting[]): Promise<void> {
    const changes = group.flatMap((one) => one.changes);
    await this.#writer.write(changes.map((one) => one.change));
    for (const { change, publish } of changes) {
      if (change.kind === "put") this.#budget.count(change.row);
      else this.#budget.forget(change.key);
      publish();
    }
    for (const one of group) one.resolve();
  }

  #nextGroup(): Waiting[] {
    let bytes = 0;
    const end = this.#waiting.findIndex((one, index) => {
      for (const { change } of one.changes) {
        if (change.kind === "put") bytes += change.row.value.length;
      }
      return index > 0 && bytes > groupBytes;
    });
    return this.#waiting.splice(0, end === -1 ? this.#waiting.length : end);
  }
}

/** A store in memory only: for tests, and for a daemon that is configured to keep nothing. */
export function openMemoryMetadata(log: Logger): MetadataStore {
  return new MirroredStore([], { write: async () => {}, close: async () => {} }, log);
}
