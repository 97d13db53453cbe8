// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "./cancellable.ts";
import { ownHeadroom } from "./memory/memory-headroom.ts";
import { Semaphore } from "./semaphore.ts";
import { startTimer } from "./timers.ts";

/** Work that makes progress takes less; work that hangs must not hold up others for long. */
const defaultBriefMs = 5_000;

export interface BriefTurnsOptions {
  readonly atOnce: number;
  /** How much of what is left in the daemon's cgroup one piece of work takes. */
  readonly bytes: number;
  readonly briefMs?: number;
}

/**
 * Lets a few pieces of work run at a time, in the order of arrival, because each starts programs that count against
 * the daemon's memory; fewer while little of that is left. One that takes long stops counting: it is waiting for
 * something.
 */
export class BriefTurns {
  readonly #places: Semaphore;
  readonly #bytes: number;
  readonly #briefMs: number;

  constructor({ atOnce, bytes, briefMs = defaultBriefMs }: BriefTurnsOptions) {
    this.#places = new Semaphore(atOnce);
    this.#bytes = bytes;
    this.#briefMs = briefMs;
  }

  async acquire(call: Partial<Cancellable>): Promise<Disposable> {
    using taken = new DisposableStack();
    taken.use(await this.#places.acquire(call));
    taken.use(await ownHeadroom().promise(this.#bytes, call));
    const turn = taken.move();
    const timer = startTimer(() => turn.dispose(), this.#briefMs).unref();
    turn.defer(() => timer.stop());
    return turn;
  }
}
