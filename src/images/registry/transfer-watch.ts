// SPDX-License-Identifier: Apache-2.0
import { fault } from "../../base/errors.ts";
import { startInterval, startTimer, type Timer } from "../../base/timers.ts";
import { registryLimits } from "./limits.ts";

export interface TransferLimits {
  /** What is transferred, for the error. */
  readonly what: string;
  /** A window without the least rate is a standstill; 0 for none. */
  readonly windowMs: number;
  /** The whole transfer; 0 for no limit. */
  readonly totalMs?: number;
}

/**
 * Fires its signal, with DEADLINE_EXCEEDED, when a transfer stands still: in each window it must bring a certain
 * amount, so that a byte now and then does not count as progress.
 */
export class TransferWatch implements Disposable {
  readonly #abort = new AbortController();
  readonly #timers = new DisposableStack();
  #bytes = 0;

  constructor({ what, windowMs, totalMs = 0 }: TransferLimits) {
    if (windowMs > 0) this.#watch(what, windowMs);
    if (totalMs > 0) {
      this.#timers.use(
        startTimer(() => this.#end(`${what} took longer than ${totalMs / 1000} s`), totalMs),
      );
    }
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  received(bytes: number): void {
    this.#bytes += bytes;
  }

  [Symbol.dispose](): void {
    this.#timers.dispose();
  }

  #watch(what: string, windowMs: number): void {
    const least = Math.max(1, Math.floor((windowMs / 1000) * registryLimits.bytesPerSecond));
    const windows: Timer = startInterval(() => {
      const isMoving = this.#bytes >= least;
      this.#bytes = 0;
      if (isMoving) return;
      windows.stop();
      this.#end(`${what} made no progress for ${windowMs / 1000} s`);
    }, windowMs);
    this.#timers.use(windows);
  }

  #end(message: string): void {
    this.#abort.abort(fault("DEADLINE_EXCEEDED", message));
  }
}
