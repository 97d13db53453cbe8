// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import { unlessAborted } from "../base/waits.ts";

/**
 * Keeps collections apart from those who bring things in: any number of holders at a time, or one
 * collection. What a holder has found present must not be collected before something refers to it.
 */
export class CollectionGate {
  #holders = 0;
  #collecting: Promise<void> | undefined;
  #onIdle: (() => void)[] = [];

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
        for (const wake of this.#onIdle.splice(0)) wake();
      },
    };
  }

  /** Runs a collection if nobody holds; false when it was left for later. */
  async collect(work: () => Promise<void>): Promise<boolean> {
    while (this.#collecting) await this.#collecting;
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
  idle({ signal }: Cancellable): Promise<void> {
    if (this.#holders === 0 || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = (): void => {
        signal.removeEventListener("abort", wake);
        resolve();
      };
      this.#onIdle.push(wake);
      signal.addEventListener("abort", wake, { once: true });
    });
  }
}
