// SPDX-License-Identifier: Apache-2.0

// What instrumented code calls, and what the engine learns from it. A *feature* is something that an input
// did and no input before it: a place run so many times (by powers of two), or a comparison that came closer.

const maxPlaces = 1 << 16;
const maxComparisons = 1 << 14;
/** Of a place: 1, 2, 3, 4–7, 8–15, 16–31, 32–127, 128 and more. */
const bucketsOfPlace = 8;
const stepsOfComparison = 64;

const counts = new Uint32Array(maxPlaces);
const touched = new Uint32Array(maxPlaces);
let touchedCount = 0;

const nearness = new Uint8Array(maxComparisons);
const compared = new Uint32Array(maxComparisons);
let comparedCount = 0;

/** Two values that an input made the code compare, and which differed. */
export type Pair = readonly [string, string] | readonly [number, number];
const maxPairs = 256;
let pairs: Pair[] | undefined;

/** The code has come to a place. */
export function hit(place: number): void {
  const count = counts[place] ?? 0;
  counts[place] = count + 1;
  if (count === 0) touched[touchedCount++] = place;
}

/** `===`, which says how close it was. */
export function same(comparison: number, a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a === "number" && typeof b === "number") compareNumbers(comparison, a, b);
  else if (typeof a === "string" && typeof b === "string") compareTexts(comparison, a, b);
  return false;
}

/** The numbers of `a < b` and the like, which are compared beside it. */
export function order<T>(comparison: number, a: T, b: unknown): T {
  if (typeof a === "number" && typeof b === "number") compareNumbers(comparison, a, b);
  return a;
}

function compareNumbers(comparison: number, a: number, b: number): void {
  const difference = a > b ? a - b : b - a;
  // Loops compare all the time: most numbers are small and whole.
  if ((difference | 0) === difference) come(comparison, 31 + Math.clz32(difference));
  else if (Number.isInteger(a) && Number.isInteger(b)) {
    come(comparison, Math.max(1, 63 - Math.ceil(Math.log2(difference + 1))));
  } else return;
  if (pairs !== undefined && pairs.length < maxPairs) pairs.push([a, b]);
}

function compareTexts(comparison: number, a: string, b: string): void {
  const most = Math.min(a.length, b.length, 31);
  let at = 0;
  while (at < most && a.charCodeAt(at) === b.charCodeAt(at)) at += 1;
  come(comparison, 1 + at);
  const isShort = a.length <= 256 && b.length <= 256;
  if (pairs !== undefined && pairs.length < maxPairs && isShort) pairs.push([a, b]);
}

function come(comparison: number, near: number): void {
  const before = nearness[comparison] ?? 0;
  if (before === 0) compared[comparedCount++] = comparison;
  if (near > before) nearness[comparison] = near;
}

/** Notes from now on which values are compared, until `takePairs`. */
export function watchPairs(): void {
  pairs = [];
}

export function takePairs(): readonly Pair[] {
  const taken = pairs ?? [];
  pairs = undefined;
  return taken;
}

/** Which features any input had so far. */
export class Features {
  /** The length of the shortest input that had it, and one; 0 for none yet. */
  readonly #places = new Uint32Array(maxPlaces * bucketsOfPlace);
  readonly #comparisons = new Uint8Array(maxComparisons * stepsOfComparison);

  /** Forgets what the code did so far. */
  begin(): void {
    for (let at = 0; at < touchedCount; at += 1) counts[touched[at] ?? 0] = 0;
    for (let at = 0; at < comparedCount; at += 1) nearness[compared[at] ?? 0] = 0;
    touchedCount = 0;
    comparedCount = 0;
  }

  /**
   * The features since `begin` that no input had before, or of places only longer ones. Negative ones are of
   * comparisons.
   */
  take(inputLength: number): number[] {
    const found: number[] = [];
    for (let at = 0; at < touchedCount; at += 1) {
      const place = touched[at] ?? 0;
      const feature = place * bucketsOfPlace + bucketOf(counts[place] ?? 0);
      const shortest = this.#places[feature] ?? 0;
      if (shortest !== 0 && shortest <= inputLength + 1) continue;
      this.#places[feature] = inputLength + 1;
      found.push(feature);
    }
    for (let at = 0; at < comparedCount; at += 1) {
      const comparison = compared[at] ?? 0;
      const feature = comparison * stepsOfComparison + (nearness[comparison] ?? 0);
      if (this.#comparisons[feature] !== 0) continue;
      this.#comparisons[feature] = 1;
      found.push(-1 - feature);
    }
    return found;
  }

  /** How many places of those from `first` to before `end` were reached by any input. */
  reached(first: number, end: number): number {
    let reached = 0;
    for (let place = first; place < end; place += 1) {
      const start = place * bucketsOfPlace;
      if (this.#places.subarray(start, start + bucketsOfPlace).some(Boolean)) reached += 1;
    }
    return reached;
  }
}

function bucketOf(count: number): number {
  if (count < 4) return count - 1;
  if (count < 8) return 3;
  if (count < 16) return 4;
  if (count < 32) return 5;
  return count < 128 ? 6 : 7;
}
