// SPDX-License-Identifier: Apache-2.0

/** What has begun and is not shown by the façade yet. */
export class Pending<T extends { readonly id?: string | null | undefined }> {
  readonly #entries = new Set<Entry<T>>();

  /** `make` tells what it is, when a plugin joins. */
  add(make: () => T | null | undefined): Entry<T> {
    const entry = new Entry(make, this.#entries);
    this.#entries.add(entry);
    return entry;
  }

  /**
   * All that are pending, and of `shown` what is not among them; each is made when its turn comes. What is disposed
   * meanwhile is still told, since `shown` was taken before it could have it.
   */
  with(shown: readonly (() => T | undefined)[]): readonly (() => T | undefined)[] {
    const told = new Set<string>();
    return [...[...this.#entries].map((entry) => () => entry.make()), ...shown].map(
      (make) => () => {
        const made = make();
        const id = made?.id;
        if (typeof id !== "string" || told.has(id)) return undefined;
        told.add(id);
        return made ?? undefined;
      },
    );
  }
}

/** Something that is pending until it is disposed. */
class Entry<T> implements Disposable {
  make: () => T | null | undefined;
  readonly #entries: Set<Entry<T>>;

  constructor(make: () => T | null | undefined, entries: Set<Entry<T>>) {
    this.make = make;
    this.#entries = entries;
  }

  /** It will not come to be: nobody is told of it. */
  cancel(): void {
    this.make = () => undefined;
    this[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.#entries.delete(this);
  }
}
