// SPDX-License-Identifier: Apache-2.0
import { fault } from "../../base/errors.ts";
import { type PaxRecords, paxNumber, paxText, wholeNumber } from "./pax.ts";
import { number } from "./tar-header.ts";

/** One run of stored bytes of a sparse file. */
export interface Segment {
  readonly offset: number;
  readonly length: number;
}

const maxSegments = 1_000_000;

/** Entries of a GNU header (4 at 386) or of its extension block (21 at 0), up to the first unused. */
export function gnuSegments(block: Buffer, start: number, count: number): Segment[] {
  const segments: Segment[] = [];
  for (let at = start; at < start + 24 * count; at += 24) {
    if (block[at] === 0) break;
    segments.push({ offset: number(block, at, 12), length: number(block, at + 12, 12) });
  }
  return segments;
}

/** What PAX records say of a sparse file: formats 0.0 and 0.1 hold the map, 1.0 puts it before the data. */
export type PaxSparse =
  | { readonly kind: "none" }
  | { readonly kind: "map"; readonly segments: readonly Segment[]; readonly size: number }
  | { readonly kind: "in-data"; readonly size: number };

export function paxSparse(records: PaxRecords): PaxSparse {
  if (paxText(records, "GNU.sparse.major") === "1") {
    return { kind: "in-data", size: paxNumber(records, "GNU.sparse.realsize") ?? 0 };
  }
  const size = paxNumber(records, "GNU.sparse.size");
  if (size === undefined) return { kind: "none" };
  const map = paxText(records, "GNU.sparse.map");
  const numbers =
    map === undefined
      ? records.ordered
          .filter(([key]) => key === "GNU.sparse.offset" || key === "GNU.sparse.numbytes")
          .map(([, value]) => wholeNumber(value.toString("latin1")))
      : map.split(",").map(wholeNumber);
  return { kind: "map", segments: pairs(numbers), size };
}

/**
 * Format 1.0's map, decimal lines at the start of the data: how many segments, then offset and length of each. Blocks
 * are added as they come, and each is parsed once.
 */
export class MapInData {
  readonly #numbers: number[] = [];
  #wanted = 1;
  #rest = "";

  /**
   * True when the map is complete. INVALID_ARGUMENT for what is none, RESOURCE_EXHAUSTED for one that is too long.
   */
  add(block: Buffer): boolean {
    const lines = (this.#rest + block.toString("latin1")).split("\n");
    this.#rest = lines.pop() ?? "";
    // Numbers have 16 digits at most.
    if (this.#rest.length > block.length)
      throw fault("INVALID_ARGUMENT", "bad map of a sparse file");
    for (const line of lines) {
      if (this.#numbers.length === this.#wanted) return true;
      this.#numbers.push(wholeNumber(line));
      if (this.#numbers.length > 1) continue;
      const count = this.#numbers[0] ?? 0;
      checkCount(count);
      this.#wanted = 1 + 2 * count;
    }
    return this.#numbers.length === this.#wanted;
  }

  segments(): Segment[] {
    return pairs(this.#numbers.slice(1));
  }
}

/** RESOURCE_EXHAUSTED for more segments than any file that people pack has. */
export function checkCount(segments: number): void {
  if (segments <= maxSegments) return;
  throw fault("RESOURCE_EXHAUSTED", `sparse file has more than ${maxSegments} segments`);
}

/** Segments must ascend, fit into the file, and account for all stored bytes. */
export function checkSegments(segments: readonly Segment[], size: number, stored: number): void {
  let end = 0;
  let total = 0;
  for (const { offset, length } of segments) {
    if (offset < end || length < 0 || offset + length > size) {
      throw fault("INVALID_ARGUMENT", "bad map of a sparse file");
    }
    end = offset + length;
    total += length;
  }
  if (total !== stored) {
    throw fault("INVALID_ARGUMENT", "map of a sparse file does not fit its data");
  }
}

function pairs(numbers: readonly number[]): Segment[] {
  if (numbers.length % 2 !== 0) throw fault("INVALID_ARGUMENT", "bad map of a sparse file");
  const segments: Segment[] = [];
  for (let at = 0; at < numbers.length; at += 2) {
    segments.push({ offset: numbers[at] ?? 0, length: numbers[at + 1] ?? 0 });
  }
  return segments;
}
