// SPDX-License-Identifier: Apache-2.0
import { RuntimeFault } from "./errors.ts";
import { type OneTimer, startTimer } from "./timers.ts";

/** Why a wait was ended: nothing was heard for too long. DEADLINE_EXCEEDED. */
export class SilenceFault extends RuntimeFault {}

/** A limit on the time without a sign of life: `signal` aborts when it is reached, until disposed. */
export class Silence implements Disposable {
  readonly #abort = new AbortController();
  readonly #timer: OneTimer | undefined;
  #heard = 0;
  #isPaused = false;

  constructor(ms: number | undefined) {
    if (ms === undefined) return;
    this.#timer = startTimer(() => {
      // When this thread was held up, what came meanwhile is still in the pipe: one look at it first.
      const heard = this.#heard;
      setImmediate(() => {
        if (heard !== this.#heard || this.#isPaused) return;
        const what = `got nowhere for ${Math.round(ms / 1000)} s`;
        this.#abort.abort(new SilenceFault("DEADLINE_EXCEEDED", what));
      });
    }, ms);
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  broken(): void {
    this.#heard += 1;
    this.#timer?.refresh();
  }

  /** What is stopped by us has nothing to say. */
  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.broken();
  }

  [Symbol.dispose](): void {
    this.#timer?.stop();
  }
}
