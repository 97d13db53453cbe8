// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from "node:crypto";
import { fault } from "../../base/errors.ts";
import { KeyedMutex } from "../../base/keyed-mutex.ts";
import type { RecordTable } from "../../metadata/ports.ts";

/** What every CRI record has: its id, and the name that is unique among its kind. */
export interface NamedRecord {
  readonly id: string;
  readonly name: string;
}

/** A new id of a sandbox or container: 64 hexadecimal digits. */
export function newObjectId(): string {
  return randomBytes(32).toString("hex");
}

/**
 * The records of one kind, as CRI clients may see them. Lists and look-ups read memory only. A record
 * is durable before it is visible; `write` and `show` are apart so that the durable write can run
 * beside other work and the record appears only once all of it is done.
 */
export class RecordStore<R extends NamedRecord> {
  readonly #table: RecordTable<R>;
  readonly #namespace: string;
  readonly #noun: string;
  readonly #visible = new Map<string, R>();
  readonly #idByName = new Map<string, string>();
  readonly #groupOf: ((record: R) => string) | undefined;
  /** The visible ones by group, the oldest first in each. */
  readonly #groups = new Map<string, Map<string, R>>();
  readonly #updates = new KeyedMutex();

  /**
   * `noun` is how messages call a record: "sandbox", "container". `groupOf` tells which others a record is asked for
   * with, and never changes for an id. Nothing is visible at first.
   */
  constructor(
    table: RecordTable<R>,
    options: { namespace: string; noun: string; groupOf?: (record: R) => string },
  ) {
    this.#table = table;
    this.#namespace = options.namespace;
    this.#noun = options.noun;
    this.#groupOf = options.groupOf;
  }

  /** What the disk holds, visible or not; for recovery. */
  stored(): readonly R[] {
    return this.#table.list(this.#namespace);
  }

  /** All visible records, the oldest first. */
  list(): IterableIterator<R> {
    return this.#visible.values();
  }

  /** The visible records of a group, the oldest first; none without `groupOf`. */
  inGroup(group: string): R[] {
    return [...(this.#groups.get(group)?.values() ?? [])];
  }

  get size(): number {
    return this.#visible.size;
  }

  get(id: string): R | undefined {
    return this.#visible.get(id);
  }

  byName(name: string): R | undefined {
    const id = this.#idByName.get(name);
    return id === undefined ? undefined : this.#visible.get(id);
  }

  /**
   * By full id, or by a prefix that fits one record. INVALID_ARGUMENT when the id is empty or the
   * prefix fits several.
   */
  find(idOrPrefix: string): R | undefined {
    if (idOrPrefix === "") throw fault("INVALID_ARGUMENT", `${this.#noun} id is empty`);
    const exact = this.#visible.get(idOrPrefix);
    if (exact) return exact;
    const fitting = [...this.#visible.values()].filter(({ id }) => id.startsWith(idOrPrefix));
    if (fitting.length <= 1) return fitting[0];
    throw fault(
      "INVALID_ARGUMENT",
      `${this.#noun} id "${idOrPrefix}" is ambiguous: ${fitting.length} ids begin with it`,
    );
  }

  /** As `find`, with NOT_FOUND when nothing fits. */
  require(idOrPrefix: string): R {
    const record = this.find(idOrPrefix);
    if (record) return record;
    throw fault("NOT_FOUND", `${this.#noun} "${idOrPrefix}" not found`);
  }

  /** Makes the record durable without showing it. */
  write(record: R): Promise<void> {
    return this.#table.put(this.#namespace, record.id, record);
  }

  /** Shows a record that is durable. */
  show(record: R): void {
    this.#visible.set(record.id, record);
    this.#idByName.set(record.name, record.id);
    const group = this.#groupOf?.(record);
    if (group === undefined) return;
    const others = this.#groups.get(group) ?? new Map<string, R>();
    this.#groups.set(group, others.set(record.id, record));
  }

  async put(record: R): Promise<void> {
    await this.write(record);
    this.show(record);
  }

  /**
   * Applies a pure change to the visible record, one change of a record at a time. `change` throws to
   * refuse. Undefined when the record is gone.
   */
  async update(id: string, change: (record: R) => R): Promise<R | undefined> {
    using _lock = await this.#updates.lock(id);
    const before = this.#visible.get(id);
    if (!before) return undefined;
    const after = change(before);
    if (after === before) return before;
    await this.put(after);
    return after;
  }

  /** Removes it from the disk, then from sight. No error when it is absent. */
  async delete(id: string): Promise<void> {
    using _lock = await this.#updates.lock(id);
    await this.#table.delete(this.#namespace, id);
    const record = this.#visible.get(id);
    if (!record) return;
    this.#visible.delete(id);
    if (this.#idByName.get(record.name) === id) this.#idByName.delete(record.name);
    const group = this.#groupOf?.(record);
    const others = group === undefined ? undefined : this.#groups.get(group);
    if (group === undefined || others === undefined) return;
    others.delete(id);
    if (others.size === 0) this.#groups.delete(group);
  }
}
