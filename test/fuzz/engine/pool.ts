// SPDX-License-Identifier: Apache-2.0
import type { Pair } from "./coverage.ts";
import type { Random } from "./random.ts";

export interface PoolEntry {
  readonly input: Buffer;
  readonly pairs: readonly Pair[];
}

interface Kept extends PoolEntry {
  /** Features for which it stands, and those of them that are places. */
  features: number;
  places: number;
}

const nothing: PoolEntry = { input: Buffer.alloc(0), pairs: [] };

/** The inputs that did something new, from which others are made. For each feature there is one, the shortest. */
export class Pool {
  #entries: Kept[] = [];
  #inPlaces: readonly Kept[] = [];
  readonly #owners = new Map<number, Kept>();

  get size(): number {
    return this.#entries.length;
  }

  add(entry: PoolEntry, features: readonly number[]): void {
    const places = features.filter((feature) => feature >= 0).length;
    const kept: Kept = { ...entry, features: features.length, places };
    for (const feature of features) {
      const before = this.#owners.get(feature);
      this.#owners.set(feature, kept);
      if (before === undefined) continue;
      before.features -= 1;
      if (feature >= 0) before.places -= 1;
    }
    this.#entries = [...this.#entries.filter(({ features: left }) => left > 0), kept];
    this.#inPlaces = this.#entries.filter(({ places: left }) => left > 0);
  }

  /** Most often one that came to a place in its own way; one of the newest, or any. */
  pick(random: Random): PoolEntry {
    const entries = random.oneIn(4) ? this.#entries : this.#inPlaces;
    const newest = Math.ceil(entries.length / 8);
    const start = random.oneIn(3) ? entries.length - newest : 0;
    return entries[start + random.below(entries.length - start)] ?? nothing;
  }
}
