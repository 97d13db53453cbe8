// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "./cancellable.ts";
import { Semaphore } from "./semaphore.ts";
import { startTimer } from "./timers.ts";

/** Work that gets on takes less; what hangs must not hold up others for long. */
const defaultBriefMs = 5_000;

/**
 * Lets a few pieces of work run at a time, in the order of arrival, because each starts programs that count
 * against the daemon's memory. One that takes long stops counting: it waits for something.
 */
export class BriefTurns {
  readonly #places: Semaphore;
  readonly #briefMs: number;

  constructor(atOnce: number, briefMs: number = defaultBriefMs) {
    this.#places = new Semaphore(atOnce);
    this.#briefMs = briefMs;
  }

  async acquire(call: Partial<Cancellable>): Promise<Disposable> {
    const place = await this.#places.acquire(call);
    const timer = startTimer(() => place[Symbol.dispose](), this.#briefMs).unref();
    return {
      [Symbol.dispose]: () => {
        timer.stop();
        place[Symbol.dispose]();
      },
    };
  }
}
