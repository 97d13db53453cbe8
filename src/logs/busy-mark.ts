// SPDX-License-Identifier: Apache-2.0

/** Which log a worker is working for, and how many pieces of work it had begun by then. */
export interface BusyWith {
  readonly key: string;
  readonly turn: number;
}

const keyCell = 0;
const turnCell = 1;
/** In place of a key: another worker has taken over. */
const retired = -1;

/**
 * Shows which log the worker is working for, in memory that the daemon can read while the worker waits for a disk and
 * answers nothing. The daemon uses the same memory to tell the worker to stop after that.
 */
export class BusyMark {
  readonly shared: SharedArrayBuffer;
  readonly #cells: Int32Array;
  readonly #onRetired: () => void;

  /** `onRetired` is called in the worker, once the work is done during which it was retired. */
  constructor(shared = new SharedArrayBuffer(8), onRetired: () => void = () => {}) {
    this.shared = shared;
    this.#cells = new Int32Array(shared);
    this.#onRetired = onRetired;
  }

  /** Does some work for the log of this key, a number above 0. Work inside it is for the same log. */
  during(key: number, work: () => void): void {
    Atomics.add(this.#cells, turnCell, 1);
    if (Atomics.load(this.#cells, keyCell) !== 0) return work();
    Atomics.store(this.#cells, keyCell, key);
    try {
      work();
    } finally {
      if (Atomics.compareExchange(this.#cells, keyCell, key, 0) === retired) this.#onRetired();
    }
  }

  /** Undefined while the worker has no work. */
  read(): BusyWith | undefined {
    const turn = Atomics.load(this.#cells, turnCell);
    const key = Atomics.load(this.#cells, keyCell);
    return key > 0 ? { key: String(key), turn } : undefined;
  }

  /** False when the worker has gone on to other work meanwhile: then it is not retired. */
  retire({ key, turn }: BusyWith): boolean {
    if (Atomics.load(this.#cells, turnCell) !== turn) return false;
    return Atomics.compareExchange(this.#cells, keyCell, Number(key), retired) === Number(key);
  }
}
