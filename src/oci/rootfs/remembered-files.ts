// SPDX-License-Identifier: Apache-2.0

/** Of each image a container needs its passwd and group. */
const maxFiles = 512;

/**
 * Remembers what small files of committed layers hold. Such layers never change and their folders' names
 * are never used again, while finding a file in them takes several turns of the thread pool a layer.
 */
export class RememberedFiles {
  readonly #known = new Map<string, Known>();

  /** Undefined when it is not known. */
  get(layers: readonly string[], path: string): Known | undefined {
    const key = keyOf(layers, path);
    const known = this.#known.get(key);
    if (known !== undefined) this.#put(key, known); // so that those used last are last
    return known;
  }

  /** `bytes` undefined for a file that is not there. */
  keep(layers: readonly string[], path: string, bytes: Buffer | undefined): void {
    this.#put(keyOf(layers, path), { bytes });
    const [oldest] = this.#known.keys();
    if (this.#known.size > maxFiles && oldest !== undefined) this.#known.delete(oldest);
  }

  #put(key: string, known: Known): void {
    this.#known.delete(key);
    this.#known.set(key, known);
  }
}

interface Known {
  readonly bytes: Buffer | undefined;
}

function keyOf(layers: readonly string[], path: string): string {
  return [path, ...layers].join("\0");
}
