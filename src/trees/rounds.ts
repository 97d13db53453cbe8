// SPDX-License-Identifier: Apache-2.0
import type { Job } from "./jobs.ts";

const sliceMs = 5;

/** How a job ended. */
export type Ended = { readonly value: unknown } | { readonly error: unknown };

/** Runs jobs in turns of some milliseconds each: one with a million files does not hold up the others. */
export class Rounds {
  readonly #running = new Map<number, Job<unknown>>();
  readonly #ended: (id: number, ended: Ended) => void;

  constructor(ended: (id: number, ended: Ended) => void) {
    this.#ended = ended;
  }

  add(id: number, job: Job<unknown>): void {
    this.#running.set(id, job);
  }

  /** Ends a job between two of its pieces; what it holds is freed, and no result is reported. */
  cancel(id: number): void {
    const job = this.#running.get(id);
    this.#running.delete(id);
    job?.return(undefined);
  }

  /** Gives each job a slice of time. Answers whether any job is left. */
  turn(): boolean {
    for (const [id, job] of this.#running) this.#slice(id, job);
    return this.#running.size > 0;
  }

  #slice(id: number, job: Job<unknown>): void {
    const until = performance.now() + sliceMs;
    try {
      do {
        const step = job.next();
        if (step.done !== true) continue;
        this.#running.delete(id);
        this.#ended(id, { value: step.value });
        return;
      } while (performance.now() < until);
    } catch (error) {
      this.#running.delete(id);
      this.#ended(id, { error });
    }
  }
}
