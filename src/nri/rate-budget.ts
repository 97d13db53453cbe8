// SPDX-License-Identifier: Apache-2.0

/** So many things at once, and from then on so many a second. */
export class RateBudget {
  readonly #most: number;
  readonly #perSecond: number;
  #left: number;
  #countedAt = performance.now();

  constructor(most: number, perSecond: number) {
    this.#most = most;
    this.#perSecond = perSecond;
    this.#left = most;
  }

  /** Takes them all, or, where these are more than are left, none. */
  take(count: number): boolean {
    const now = performance.now();
    const since = ((now - this.#countedAt) / 1000) * this.#perSecond;
    this.#left = Math.min(this.#most, this.#left + since);
    this.#countedAt = now;
    if (count > this.#left) return false;
    this.#left -= count;
    return true;
  }
}
