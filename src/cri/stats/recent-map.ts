// SPDX-License-Identifier: Apache-2.0

/** A map that forgets what nobody asked for in a while, so that it never grows with what is gone. */
export class RecentMap<V> {
  readonly #entries = new Map<string, { readonly value: V; usedAtMs: number }>();
  readonly #maxIdleMs: number;
  readonly #now: () => number;
  #sweptAtMs: number;

  constructor(maxIdleMs: number, now: () => number = () => performance.now()) {
    this.#maxIdleMs = maxIdleMs;
    this.#now = now;
    this.#sweptAtMs = now();
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string): V | undefined {
    const entry = this.#entries.get(key);
    if (entry !== undefined) entry.usedAtMs = this.#now();
    return entry?.value;
  }

  set(key: string, value: V): void {
    this.#sweep();
    this.#entries.set(key, { value, usedAtMs: this.#now() });
  }

  #sweep(): void {
    const now = this.#now();
    if (now - this.#sweptAtMs < this.#maxIdleMs) return;
    this.#sweptAtMs = now;
    for (const [key, { usedAtMs }] of this.#entries) {
      if (now - usedAtMs >= this.#maxIdleMs) this.#entries.delete(key);
    }
  }
}
