// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import { SingleFlight } from "../base/single-flight.ts";
import { joinPatienceMs } from "./registry/limits.ts";
import { TransferWatch } from "./registry/transfer-watch.ts";

type Attempt<T> = (call: Cancellable, progress: (bytes: number) => void) => Promise<T>;

interface Lane {
  readonly id: string;
  readonly watch: TransferWatch;
}

/**
 * Callers that want the same share one attempt while it makes progress. Who would join one that stands still makes an
 * attempt of its own instead, which later callers join; the old one is left to those who began it.
 */
export class PullFlights<T> {
  readonly #flights: SingleFlight<T>;
  readonly #lanes = new Map<string, Lane>();
  #count = 0;

  constructor(lifetime?: AbortSignal) {
    this.#flights = new SingleFlight({ abandonWhenUnwatched: true, ...(lifetime && { lifetime }) });
  }

  async join(key: string, attempt: Attempt<T>, { signal }: Cancellable): Promise<T> {
    signal.throwIfAborted(); // or its lane, whose key holds credentials, would stay
    for (;;) {
      const lane = this.#lanes.get(key);
      const isStuck = lane?.watch.signal.aborted === true;
      if (!lane || isStuck || !this.#flights.isRunning(lane.id)) {
        return this.#begin(key, attempt, signal);
      }
      const patience = lane.watch.signal;
      try {
        const either = { signal: AbortSignal.any([signal, patience]) };
        return await this.#flights.join(lane.id, () => Promise.reject(new Error("ended")), either);
      } catch (error) {
        signal.throwIfAborted();
        if (!patience.aborted) throw error;
      }
    }
  }

  #begin(key: string, attempt: Attempt<T>, signal: AbortSignal): Promise<T> {
    this.#count += 1;
    const watch = new TransferWatch({ what: "pull", windowMs: joinPatienceMs });
    const lane: Lane = { id: `${this.#count} ${key}`, watch };
    this.#lanes.set(key, lane);
    const work = async (call: Cancellable): Promise<T> => {
      try {
        return await attempt(call, (bytes) => watch.received(bytes));
      } finally {
        watch[Symbol.dispose]();
        if (this.#lanes.get(key) === lane) this.#lanes.delete(key);
      }
    };
    return this.#flights.join(lane.id, work, { signal });
  }
}
