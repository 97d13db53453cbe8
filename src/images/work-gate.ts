// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";

/**
 * Keeps pulls and garbage collection apart: any number of pulls at a time, or one collection. What a
 * pull has found present must not be collected before a record names it.
 */
export class WorkGate {
  #pulls = 0;
  #collecting: Promise<void> | undefined;

  /** Enters as a pull, once no collection runs. */
  async enter({ signal }: Cancellable): Promise<Disposable> {
    while (this.#collecting) {
      await this.#collecting;
      signal.throwIfAborted();
    }
    this.#pulls += 1;
    let left = false;
    return {
      [Symbol.dispose]: () => {
        if (left) return;
        left = true;
        this.#pulls -= 1;
      },
    };
  }

  /** Runs a collection unless a pull is under way; false when it was left for later. */
  async collect(work: () => Promise<void>): Promise<boolean> {
    while (this.#collecting) await this.#collecting;
    if (this.#pulls > 0) return false;
    const done = Promise.withResolvers<void>();
    this.#collecting = done.promise;
    try {
      await work();
      return true;
    } finally {
      this.#collecting = undefined;
      done.resolve();
    }
  }
}
