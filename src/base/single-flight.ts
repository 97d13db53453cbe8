// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "./cancellable.ts";
import { unlessAborted } from "./waits.ts";

interface Flight<T> {
  readonly result: Promise<T>;
  readonly abort: AbortController;
  waiting: number;
}

export interface FlightOptions {
  /** Ends every attempt; the daemon's shutdown signal. */
  readonly lifetime?: AbortSignal;
  /** Abort the attempt once nobody waits for it any more. Default false: it runs to its end. */
  readonly abandonWhenUnwatched?: boolean;
}

/**
 * At most one running attempt per key. Whoever asks while it runs joins it and gets its result, also its failure. The
 * attempt has a signal of its own: a joiner that gives up does not end it for the others.
 */
export class SingleFlight<T> {
  readonly #flights = new Map<string, Flight<T>>();
  readonly #options: FlightOptions;

  constructor(options: FlightOptions = {}) {
    this.#options = options;
  }

  /** Starts `attempt`, or joins the one that runs under this key. */
  async join(
    key: string,
    attempt: (call: Cancellable) => Promise<T>,
    call: Partial<Cancellable> = {},
  ): Promise<T> {
    call.signal?.throwIfAborted();
    const flight = this.#flights.get(key) ?? this.#start(key, attempt);
    flight.waiting += 1;
    try {
      return await unlessAborted(flight.result, call.signal);
    } finally {
      flight.waiting -= 1;
      if (flight.waiting === 0 && this.#options.abandonWhenUnwatched) {
        // The next caller must not join an attempt that is being aborted.
        if (this.#flights.get(key) === flight) this.#flights.delete(key);
        flight.abort.abort();
      }
    }
  }

  isRunning(key: string): boolean {
    return this.#flights.has(key);
  }

  /** Ends the attempt that runs under this key, if one does, for this reason: its joiners learn of it once it has ended. */
  interrupt(key: string, reason: unknown): void {
    this.#flights.get(key)?.abort.abort(reason);
  }

  #start(key: string, attempt: (call: Cancellable) => Promise<T>): Flight<T> {
    const abort = new AbortController();
    const { lifetime } = this.#options;
    const signal = lifetime ? AbortSignal.any([abort.signal, lifetime]) : abort.signal;
    const flight: Flight<T> = {
      abort,
      waiting: 0,
      result: Promise.try(attempt, { signal }).finally(() => {
        if (this.#flights.get(key) === flight) this.#flights.delete(key);
      }),
    };
    flight.result.catch(() => {}); // every joiner may have left, and nobody else handles its failure
    this.#flights.set(key, flight);
    return flight;
  }
}
