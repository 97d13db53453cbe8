// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "./cancellable.ts";
import { unlessAborted } from "./waits.ts";

/**
 * Lets any number of holders in, and lets work that must be alone run when nobody is in. That work waits for such a
 * moment and keeps nobody out meanwhile, so one holder that hangs stops nobody else. While it runs, new holders wait:
 * it has to be short.
 */
export class QuietGate {
  #inside = 0;
  #onQuiet: (() => void)[] = [];
  #alone: Promise<void> | undefined;

  /** Enters; disposing leaves. Rejects with the signal's reason. */
  async enter({ signal }: Cancellable): Promise<Disposable> {
    signal.throwIfAborted();
    while (this.#alone !== undefined) await unlessAborted(this.#alone, signal);
    this.#inside += 1;
    let isIn = true;
    return {
      [Symbol.dispose]: () => {
        if (!isIn) return;
        isIn = false;
        this.#inside -= 1;
        if (this.#inside === 0) for (const wake of this.#onQuiet.splice(0)) wake();
      },
    };
  }

  /** Runs the work once nobody is in and no other such work runs. */
  async whenQuiet<T>(work: () => Promise<T>, { signal }: Cancellable): Promise<T> {
    signal.throwIfAborted();
    while (this.#inside > 0 || this.#alone !== undefined) {
      const { promise, resolve } = Promise.withResolvers<void>();
      if (this.#inside > 0) this.#onQuiet.push(resolve);
      await unlessAborted(this.#alone ?? promise, signal);
    }
    const done = Promise.withResolvers<void>();
    this.#alone = done.promise;
    try {
      return await work();
    } finally {
      this.#alone = undefined;
      done.resolve();
    }
  }
}
