// SPDX-License-Identifier: Apache-2.0

/** Durations of one operation, in milliseconds. */
export class Samples {
  readonly #values: number[] = [];

  async time<T>(work: () => Promise<T>): Promise<T> {
    const from = performance.now();
    const answer = await work();
    this.#values.push(performance.now() - from);
    return answer;
  }

  add(value: number): void {
    this.#values.push(value);
  }

  get count(): number {
    return this.#values.length;
  }

  /** The nearest-rank quantile; NaN without samples. */
  quantile(q: number): number {
    const sorted = this.#values.toSorted((a, b) => a - b);
    const rank = Math.max(1, Math.ceil(q * sorted.length));
    return sorted[rank - 1] ?? Number.NaN;
  }
}
