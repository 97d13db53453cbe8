// SPDX-License-Identifier: Apache-2.0
import v8 from "node:v8";
import { fault } from "../base/errors.ts";
import type { RowKey, StoredRow } from "./mirrored-table.ts";

/** A row from this size on is a large one. */
const largeBytes = 64 * 1024;
/** The largest new row: all of a pod's or container's configuration is far below. */
const maxRowBytes = 4 * 1024 * 1024;
/** All large rows together. Records stay in memory, which a small node has less of. */
const maxLargeBytes = Math.min(512 * 1024 * 1024, v8.getHeapStatistics().heap_size_limit / 4);
/** A new row may take this part of what is left: whoever has the largest is refused first. */
const shareOfRest = 1 / 32;
/** How much a row may grow after it was admitted, in all: an exit and its reason must be recorded. */
const slackBytes = 64 * 1024;

interface LargeRow {
  readonly bytes: number;
  readonly admittedBytes: number;
}

/**
 * What clients may have stored. A client sends messages of up to 16 MiB, and the pods' own authors
 * decide what is in them; without bounds the next start had to read it all and could not.
 */
export class RowBudget {
  readonly #large = new Map<string, LargeRow>();
  #total = 0;

  /**
   * RESOURCE_EXHAUSTED for a row that is too large, or that does not fit beside the other large ones.
   * One that takes the place of another of about its size always passes: an exit must be recorded.
   */
  admit(row: StoredRow): void {
    const bytes = row.value.length;
    if (bytes < largeBytes) return;
    const before = this.#large.get(keyOf(row));
    if (before && bytes <= before.admittedBytes + slackBytes) return;
    if (bytes > maxRowBytes) {
      throw fault(
        "RESOURCE_EXHAUSTED",
        `cannot store ${row.table} "${row.id}": it takes ${bytes} bytes, more than ${maxRowBytes}`,
      );
    }
    const rest = maxLargeBytes - this.#total + (before?.bytes ?? 0);
    if (bytes > rest * shareOfRest) {
      throw fault(
        "RESOURCE_EXHAUSTED",
        `cannot store ${row.table} "${row.id}": it takes ${bytes} bytes, and may take ${Math.floor(rest * shareOfRest)}: large records take ${this.#total} already, of ${maxLargeBytes} at most`,
      );
    }
  }

  /** A row that is stored. */
  count(row: StoredRow): void {
    const key = keyOf(row);
    const before = this.#large.get(key);
    this.#forget(key);
    const bytes = row.value.length;
    if (bytes < largeBytes) return;
    const isSame = before && bytes <= before.admittedBytes + slackBytes;
    this.#large.set(key, { bytes, admittedBytes: isSame ? before.admittedBytes : bytes });
    this.#total += bytes;
  }

  forget(key: RowKey): void {
    this.#forget(keyOf(key));
  }

  #forget(key: string): void {
    const row = this.#large.get(key);
    if (row === undefined) return;
    this.#large.delete(key);
    this.#total -= row.bytes;
  }
}

function keyOf({ table, namespace, id }: RowKey): string {
  return `${table}\0${namespace}\0${id}`;
}
