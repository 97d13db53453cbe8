// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import { Semaphore } from "../base/semaphore.ts";
import { startTimer } from "../base/timers.ts";

/** Plugins that work take less; one that hangs must not hold up other pods for long. */
const defaultBriefMs = 5_000;

/**
 * Lets CNI plugins of a few pods run at a time, in the order of arrival: each runs some programs, and all of
 * them count against the daemon's memory. What takes long stops counting: it waits for something.
 */
export class PluginTurns {
  readonly #places: Semaphore;
  readonly #briefMs: number;

  constructor(atOnce: number, briefMs: number = defaultBriefMs) {
    this.#places = new Semaphore(atOnce);
    this.#briefMs = briefMs;
  }

  async acquire(call: Cancellable): Promise<Disposable> {
    const place = await this.#places.acquire(call);
    const timer = startTimer(() => place[Symbol.dispose](), this.#briefMs);
    return {
      [Symbol.dispose]: () => {
        timer.stop();
        place[Symbol.dispose]();
      },
    };
  }
}
