// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { unlessAborted, within } from "../../base/waits.ts";

/** Longest wait for others to finish before what is written is flushed. */
const patienceMs = 500;

/**
 * A flush of the file system that several share: it is not cheap, and one covers everything that was
 * written before it. So it starts when nobody writes any more, or after half a second; who asks while
 * one runs shares the next.
 */
export class SharedFlush {
  readonly #flush: () => Promise<void>;
  #writers = 0;
  #quiet = Promise.withResolvers<void>();
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(flush: () => Promise<void>) {
    this.#flush = flush;
  }

  /** Says that something is being written, until disposed. */
  writing(): Disposable {
    this.#writers += 1;
    let isOver = false;
    return {
      [Symbol.dispose]: () => {
        if (isOver) return;
        isOver = true;
        this.#writers -= 1;
        if (this.#writers > 0) return;
        this.#quiet.resolve();
        this.#quiet = Promise.withResolvers();
      },
    };
  }

  /**
   * Settles when everything is on the disk that was written before the call; with the signal's reason when
   * that comes first. A disk may never answer.
   */
  run({ signal }: Cancellable): Promise<void> {
    this.#next ??= this.#runNext();
    return unlessAborted(this.#next, signal);
  }

  async #runNext(): Promise<void> {
    await this.#running?.catch(() => {}); // its callers get the error
    if (this.#writers > 0) await within(this.#quiet.promise, patienceMs);
    this.#running = this.#flush();
    this.#next = undefined;
    await this.#running;
  }
}
