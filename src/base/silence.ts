// SPDX-License-Identifier: Apache-2.0
import { RuntimeFault } from "./errors.ts";
import { type OneTimer, startTimer } from "./timers.ts";

/** Ends a wait in which nothing was heard for too long. DEADLINE_EXCEEDED. */
export class SilenceFault extends RuntimeFault {}

/** A limit on the time without progress: `signal` aborts when it is reached, until disposed. */
export class Silence implements Disposable {
  readonly #abort = new AbortController();
  readonly #ms: number | undefined;
  #timer: OneTimer | undefined;
  #heard = 0;
  #isPaused = false;

  constructor(ms: number | undefined) {
    this.#ms = ms;
    this.#begin();
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  broken(): void {
    this.#heard += 1;
    this.#timer?.refresh();
  }

  /** Stops the clock: a program that we have stopped cannot show progress. */
  pause(): void {
    this.#isPaused = true;
    this.#stop();
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#begin();
  }

  [Symbol.dispose](): void {
    this.pause();
  }

  #begin(): void {
    if (this.#ms === undefined) return;
    const timer = startTimer(() => {
      // When this thread was held up, what came meanwhile is still in the pipe: it is read first.
      const heard = this.#heard;
      setImmediate(() => {
        if (timer !== this.#timer) return; // paused since
        if (heard === this.#heard) this.#tooLong();
        else this.#begin();
      });
    }, this.#ms);
    this.#timer = timer;
  }

  #stop(): void {
    this.#timer?.stop();
    this.#timer = undefined;
  }

  #tooLong(): void {
    const what = `got nowhere for ${Math.round((this.#ms ?? 0) / 1000)} s`;
    this.#abort.abort(new SilenceFault("DEADLINE_EXCEEDED", what));
  }
}
