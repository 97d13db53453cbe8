// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "./cancellable.ts";
import { onAbort } from "./on-abort.ts";

interface Waiter {
  readonly wake: () => void;
}

/**
 * One lock per key, handed over in the order of arrival. It guards a record's read-modify-write and
 * must never be held across a shim, disk, mount, CNI or registry call.
 *
 *     using _lock = await mutex.lock(id, { signal });
 */
export class KeyedMutex {
  /** A key is in it while its lock is held, with the queue of those who wait for it. */
  readonly #queues = new Map<string, Waiter[]>();

  /** Waits for the key. Rejects with the signal's reason when that fires first. */
  async lock(key: string, call: Partial<Cancellable> = {}): Promise<Disposable> {
    call.signal?.throwIfAborted();
    const queue = this.#queues.get(key);
    if (queue) await this.#enqueue(queue, call.signal);
    else this.#queues.set(key, []);
    return this.#held(key);
  }

  /** The lock if it is free at this moment, else undefined. */
  tryLock(key: string): Disposable | undefined {
    if (this.#queues.has(key)) return undefined;
    this.#queues.set(key, []);
    return this.#held(key);
  }

  isLocked(key: string): boolean {
    return this.#queues.has(key);
  }

  #enqueue(queue: Waiter[], signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        wake: () => {
          reaction[Symbol.dispose]();
          resolve();
        },
      };
      queue.push(waiter);
      const reaction = onAbort(signal, (reason) => {
        queue.splice(queue.indexOf(waiter), 1);
        reject(reason);
      });
    });
  }

  #held(key: string): Disposable {
    let released = false;
    return {
      [Symbol.dispose]: () => {
        if (released) return;
        released = true;
        const next = this.#queues.get(key)?.shift();
        if (next) next.wake();
        else this.#queues.delete(key);
      },
    };
  }
}
