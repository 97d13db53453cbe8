// SPDX-License-Identifier: Apache-2.0
import { onAbort } from "./on-abort.ts";

/**
 * The only place that waits. Node keeps a delay in 32 bits: one of more than 24.8 days fires after a millisecond,
 * with a warning nobody reads. Here a delay of any length holds, and one that is no number is an error. Lint refuses
 * Node's own timers everywhere else in src/.
 */

/** The longest delay that Node's timers keep, in milliseconds. */
const longestHopMs = 2 ** 31 - 1;

/** A timer that runs. Once stopped, or fired, stopping it does nothing. */
export interface Timer extends Disposable {
  stop(): void;
  /** Lets the process end when nothing else keeps it alive. */
  unref(): this;
  ref(): this;
}

/** A timer that fires once, unless it is restarted before. */
export interface OneTimer extends Timer {
  /** Starts the whole delay again; does nothing once it has fired or was stopped. */
  refresh(): void;
}

/**
 * Calls `onTime` once, after so many milliseconds; at once for a negative number, never for Infinity
 * (which keeps the process alive like any other). Throws RangeError when `ms` is not a number.
 */
export function startTimer(onTime: () => void, ms: number): OneTimer {
  refuseNoNumber(ms);
  return new HoppingTimer(onTime, Math.max(0, ms));
}

/** Calls `onTime` every so many milliseconds, at most every 24.8 days. RangeError as `startTimer`. */
export function startInterval(onTime: () => void, ms: number): Timer {
  refuseNoNumber(ms);
  const interval = setInterval(onTime, Math.min(Math.max(1, ms), longestHopMs));
  const stop = (): void => clearInterval(interval);
  const timer: Timer = {
    stop,
    ref: () => {
      interval.ref();
      return timer;
    },
    unref: () => {
      interval.unref();
      return timer;
    },
    [Symbol.dispose]: stop,
  };
  return timer;
}

/**
 * A signal that fires by itself with a TimeoutError, like AbortSignal.timeout: it keeps no process alive. It and its
 * listeners stay in memory until it fires. For work that is mostly done long before, and comes often, use `timeLimit`
 * of deadline.ts. RangeError as `startTimer`.
 */
export function timeoutSignal(ms: number): AbortSignal {
  refuseNoNumber(ms);
  if (ms <= longestHopMs) return AbortSignal.timeout(Math.max(0, Math.ceil(ms)));
  const abort = new AbortController();
  // Kept until it fires, even when only its listeners are left.
  startTimer(() => abort.abort(timeoutReason()), ms).unref();
  return abort.signal;
}

export function timeoutReason(): DOMException {
  return new DOMException("The operation was aborted due to timeout", "TimeoutError");
}

/** Resolves after so many milliseconds; rejects with the signal's reason. RangeError as `startTimer`. */
export async function sleep(
  ms: number,
  { signal }: { readonly signal?: AbortSignal | undefined } = {},
): Promise<void> {
  signal?.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  using _timer = startTimer(resolve, ms);
  using _reaction = onAbort(signal, reject);
  await promise;
}

/** Waits for a long delay in several that Node can keep. */
class HoppingTimer implements OneTimer {
  readonly #onTime: () => void;
  readonly #ms: number;
  #restMs: number;
  #hop: NodeJS.Timeout | undefined;
  #isHeld = true;

  constructor(onTime: () => void, ms: number) {
    this.#onTime = onTime;
    this.#ms = ms;
    this.#restMs = ms;
    this.#next();
  }

  stop(): void {
    clearTimeout(this.#hop);
    this.#hop = undefined;
  }

  unref(): this {
    this.#isHeld = false;
    this.#hop?.unref();
    return this;
  }

  ref(): this {
    this.#isHeld = true;
    this.#hop?.ref();
    return this;
  }

  refresh(): void {
    if (this.#hop === undefined) return;
    if (this.#ms <= longestHopMs) {
      this.#hop.refresh();
      return;
    }
    this.stop();
    this.#restMs = this.#ms;
    this.#next();
  }

  [Symbol.dispose](): void {
    this.stop();
  }

  #next(): void {
    const hopMs = Math.min(this.#restMs, longestHopMs);
    this.#restMs -= hopMs;
    this.#hop = setTimeout(this.#arrive, hopMs);
    if (!this.#isHeld) this.#hop.unref();
  }

  readonly #arrive = (): void => {
    if (this.#restMs > 0) return this.#next();
    this.#hop = undefined;
    this.#onTime();
  };
}

function refuseNoNumber(ms: number): void {
  if (Number.isNaN(ms)) throw new RangeError("a delay is not a number");
}
