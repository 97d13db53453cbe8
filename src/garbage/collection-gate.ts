// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import { unlessAborted, untilAborted } from "../base/waits.ts";

/**
 * Keeps collections apart from those who bring things in: any number of holders at a time, or one
 * collection. What a holder has found present must not be collected before something refers to it.
 */
export class CollectionGate {
  #holders = 0;
  #collecting: Promise<void> | undefined;
  readonly #onIdle = new Set<() => void>();

  /** Enters as a holder, once no collection runs. */
  async enter({ signal }: Cancellable): Promise<Disposable> {
    while (this.#collecting) {
      await unlessAborted(this.#collecting, signal);
    }
    this.#holders += 1;
    let left = false;
    return {
      [Symbol.dispose]: () => {
        if (left) return;
        left = true;
        this.#holders -= 1;
        if (this.#holders > 0) return;
        for (const wake of this.#onIdle) wake();
      },
    };
  }

  /**
   * Runs a collection once one that runs already has ended. False, and nothing has run, when somebody holds the gate
   * then. Rejects with the signal's reason when that fires before its turn.
   */
  async collect(work: () => Promise<void>, { signal }: Cancellable): Promise<boolean> {
    while (this.#collecting) await unlessAborted(this.#collecting, signal);
    if (this.#holders > 0) return false;
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

  /** Settles when the last holder leaves, or when the signal fires. */
  async idle({ signal }: Cancellable): Promise<void> {
    if (this.#holders === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onIdle.add(resolve);
    await untilAborted(promise, signal);
    this.#onIdle.delete(resolve);
  }
}
