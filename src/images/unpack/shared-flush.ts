// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { unlessAborted, within } from "../../base/waits.ts";

/** How long a flush waits at most for those who are writing. */
const patienceMs = 500;

/**
 * A flush of the file system that several share: it is not cheap, and one covers everything that was written before
 * it. So it starts when nobody writes any more, or after half a second. Whoever asks for one while one runs gets the
 * next.
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

  /** Notes that something is being written, until disposed. */
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
   * Settles when everything that was written before the call is on the disk. Rejects with the signal's reason when
   * that comes first: a disk may never answer.
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
