// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "./cancellable.ts";
import { onAbort } from "./on-abort.ts";

/**
 * Lets at most `permits` holders in at a time, in the order of arrival.
 *
 *     using _permit = await downloads.acquire({ signal });
 */
export class Semaphore {
  readonly #waiting: (() => void)[] = [];
  #free: number;

  constructor(permits: number) {
    if (!Number.isSafeInteger(permits) || permits < 1) {
      throw new RangeError(`a semaphore needs at least one permit, not ${permits}`);
    }
    this.#free = permits;
  }

  /** Waits for a permit; disposing gives it back, once. Rejects with the signal's reason. */
  async acquire(call: Partial<Cancellable> = {}): Promise<Disposable> {
    call.signal?.throwIfAborted();
    if (this.#free > 0) this.#free -= 1;
    else await this.#enqueue(call.signal);
    return this.#permit();
  }

  /** A permit if one is free right now. */
  tryAcquire(): Disposable | undefined {
    if (this.#free === 0) return undefined;
    this.#free -= 1;
    return this.#permit();
  }

  #enqueue(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const wake = (): void => {
        reaction[Symbol.dispose]();
        resolve();
      };
      this.#waiting.push(wake);
      const reaction = onAbort(signal, (reason) => {
        this.#waiting.splice(this.#waiting.indexOf(wake), 1);
        reject(reason);
      });
    });
  }

  #permit(): Disposable {
    let returned = false;
    return {
      [Symbol.dispose]: () => {
        if (returned) return;
        returned = true;
        const next = this.#waiting.shift();
        if (next) next();
        else this.#free += 1;
      },
    };
  }
}
