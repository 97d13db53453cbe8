// SPDX-License-Identifier: Apache-2.0
import { fault } from "../base/errors.ts";
import type { RowKey, StoredRow } from "./mirrored-table.ts";

/** A row from this size on is a large one. */
const largeBytes = 64 * 1024;
/** The largest row that is taken anew: all of a pod's or container's configuration is far below. */
const maxRowBytes = 4 * 1024 * 1024;
/** All large rows together. Records stay in memory, so this bounds what they take there. */
const maxLargeBytes = 512 * 1024 * 1024;

/**
 * What clients may have stored. A client sends messages of up to 16 MiB, and the pods' own authors
 * decide what is in them; without bounds the next start had to read it all and could not.
 */
export class RowBudget {
  readonly #large = new Map<string, number>();
  #total = 0;

  /**
   * RESOURCE_EXHAUSTED for a row that is too large, or that does not fit beside the other large ones.
   * One that takes the place of another of at least its size always passes: an exit must be recorded.
   */
  admit(row: StoredRow): void {
    const bytes = row.value.length;
    if (bytes < largeBytes) return;
    const before = this.#large.get(keyOf(row)) ?? 0;
    if (bytes <= before + largeBytes && before > 0) return;
    if (bytes > maxRowBytes) {
      throw fault(
        "RESOURCE_EXHAUSTED",
        `cannot store ${row.table} "${row.id}": it takes ${bytes} bytes, more than ${maxRowBytes}`,
      );
    }
    if (this.#total - before + bytes > maxLargeBytes) {
      throw fault(
        "RESOURCE_EXHAUSTED",
        `cannot store ${row.table} "${row.id}": large records take ${this.#total} bytes, of ${maxLargeBytes} at most`,
      );
    }
  }

  /** A row that is stored. */
  count(row: StoredRow): void {
    const key = keyOf(row);
    this.#forget(key);
    const bytes = row.value.length;
    if (bytes < largeBytes) return;
    this.#large.set(key, bytes);
    this.#total += bytes;
  }

  forget(key: RowKey): void {
    this.#forget(keyOf(key));
  }

  #forget(key: string): void {
    const bytes = this.#large.get(key);
    if (bytes === undefined) return;
    this.#large.delete(key);
    this.#total -= bytes;
  }
}

function keyOf({ table, namespace, id }: RowKey): string {
  return `${table}\0${namespace}\0${id}`;
}
