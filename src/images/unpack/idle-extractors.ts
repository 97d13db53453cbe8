// SPDX-License-Identifier: Apache-2.0
import { onAbort } from "../../base/on-abort.ts";
import { type OneTimer, startTimer } from "../../base/timers.ts";

/** What can be kept. One may end by itself, or by others, while it is idle. */
export interface Keepable extends Disposable {
  readonly isRunning: boolean;
}

export interface IdleOptions<T> {
  readonly start: () => T;
  /** How many are kept at most. */
  readonly atMost: number;
  /** How long they are kept after the last work, in milliseconds; with 0 they go with it. */
  readonly keepMs: number;
  /** Ends them at once, and keeps none from then on. */
  readonly signal?: AbortSignal;
}

/**
 * Processes without work. They are kept while there is work, and some seconds longer: loading their program takes
 * longer than most layers, and pulls seldom come alone.
 */
export class IdleExtractors<T extends Keepable> {
  readonly #options: IdleOptions<T>;
  readonly #idle: T[] = [];
  #working = 0;
  #leaving: OneTimer | undefined;

  constructor(options: IdleOptions<T>) {
    this.#options = options;
    if (options.signal) onAbort(options.signal, () => this.#endAll());
  }

  /** Notes that there is work, until disposed. */
  working(): Disposable {
    this.#working += 1;
    this.#leaving?.stop();
    let isOver = false;
    return {
      [Symbol.dispose]: () => {
        if (isOver) return;
        isOver = true;
        this.#working -= 1;
        if (this.#working === 0) this.#leaveSoon();
      },
    };
  }

  /** Starts what is missing to have so many idle ones. */
  ready(count: number): void {
    while (this.#idle.length < count) this.#idle.push(this.#options.start());
  }

  /** One that still runs. */
  take(): T | undefined {
    let one = this.#idle.pop();
    while (one?.isRunning === false) one = this.#idle.pop();
    return one;
  }

  /** Takes one back; false, and it stays its user's, when there is no work or there are enough. */
  giveBack(one: T): boolean {
    const { atMost, signal } = this.#options;
    if (this.#working === 0 || this.#idle.length >= atMost || signal?.aborted === true)
      return false;
    this.#idle.push(one);
    return true;
  }

  #leaveSoon(): void {
    const { keepMs, signal } = this.#options;
    if (keepMs <= 0 || this.#idle.length === 0 || signal?.aborted === true) this.#endAll();
    else this.#leaving = startTimer(() => this.#endAll(), keepMs);
  }

  #endAll(): void {
    this.#leaving?.stop();
    for (const one of this.#idle.splice(0)) one[Symbol.dispose]();
  }
}
