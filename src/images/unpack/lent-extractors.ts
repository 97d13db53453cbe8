// SPDX-License-Identifier: Apache-2.0
import os from "node:os";
import type { Cancellable } from "../../base/cancellable.ts";
import { ourShares } from "../../base/memory/memory-shares.ts";
import type { Semaphore } from "../../base/semaphore.ts";
import { claimExtractor, type Extractor, startExtractor } from "./extract-layer.ts";
import { type Course, ExtractionTurns } from "./extraction-turns.ts";
import { IdleExtractors } from "./idle-extractors.ts";

/** With two cores two or three children at a time are about a third faster than one; more are no faster. */
export const parallelLayers = Math.min(
  ourShares().extractors,
  Math.max(2, os.availableParallelism()),
);
/** Most layers take less. */
const longAfterMs = 10_000;
const parallelLongLayers = ourShares().longExtractors;
/**
 * How many more wait, stopped, and how long each runs before it is another's turn. Where memory is short none wait.
 */
const waitingLongLayers = parallelLongLayers < 12 ? 0 : 12;
const sliceMs = 30_000;
/** A child that takes long must not slow the daemon, nor the extraction of smaller layers. */
const longNiceness = 10;

type Work<T> = (extractor: Extractor, call: Cancellable) => Promise<T>;

/** Lends child processes, each for one piece of work. They are kept for the next where all went well. */
export class LentExtractors {
  readonly #turns = new ExtractionTurns({
    atOnce: parallelLayers,
    longAfterMs,
    longAtOnce: parallelLongLayers,
    longWaiting: waitingLongLayers,
    sliceMs,
  });
  readonly #idle: IdleExtractors<Extractor>;

  /** They wait so long for more work, in milliseconds. The signal ends them. */
  constructor(keepMs: number, signal?: AbortSignal) {
    this.#idle = new IdleExtractors({
      start: startExtractor,
      atMost: parallelLayers,
      keepMs: waitingLongLayers > 0 ? keepMs : 0, // where memory is short none stays
      ...(signal && { signal }),
    });
  }

  /** Notes that there is work, until disposed, for so many at once, which load their program meanwhile. */
  working(count: number): Disposable {
    using working = new DisposableStack();
    working.use(this.#idle.working());
    // Where there is memory for one process only, it starts when it is needed.
    this.#idle.ready(parallelLayers > 1 ? Math.min(count, parallelLayers) : 0);
    return working.move();
  }

  /** Waits for a turn. `permits` are the caller's own limit. */
  async use<T>(permits: Semaphore, call: Cancellable, work: Work<T>): Promise<T> {
    const loan = new Loan();
    using ours = new DisposableStack();
    ours.use(await permits.acquire(call));
    ours.use(await this.#turns.acquire(call, loan));
    return await this.#lend(ours.move(), loan, call, work);
  }

  /** The same if one is idle and it is nobody else's turn; undefined otherwise. */
  useNow<T>(permits: Semaphore, call: Cancellable, work: Work<T>): Promise<T> | undefined {
    const loan = new Loan();
    using ours = new DisposableStack();
    const permit = permits.tryAcquire();
    if (!permit) return undefined;
    ours.use(permit);
    loan.extractor = this.#idle.take();
    if (!loan.extractor) return undefined;
    const turn = this.#turns.tryAcquire(loan);
    if (turn) {
      ours.use(turn);
      return this.#lend(ours.move(), loan, call, work);
    }
    if (!this.#idle.giveBack(loan.extractor)) loan.extractor[Symbol.dispose]();
    return undefined;
  }

  async #lend<T>(turn: Disposable, loan: Loan, call: Cancellable, work: Work<T>): Promise<T> {
    using _turn = turn;
    using kept = new DisposableStack();
    loan.extractor ??= this.#idle.take() ?? (await claimExtractor(call));
    const extractor = kept.use(loan.extractor);
    const { signal } = loan.refusal;
    const own = { signal: AbortSignal.any([call.signal, signal]) };
    const result = await work(extractor, own).catch((error: unknown) => {
      signal.throwIfAborted();
      throw error;
    });
    if (!loan.tookLong && this.#idle.giveBack(extractor)) kept.move();
    return result;
  }
}

/** The course of one piece of work. */
class Loan implements Course {
  extractor: Extractor | undefined;
  tookLong = false;
  readonly refusal = new AbortController();

  long(): void {
    this.tookLong = true;
    if (this.extractor) yieldTo(this.extractor.pid);
  }

  pause(isPaused: boolean): void {
    this.extractor?.pause(isPaused);
  }

  refuse(reason: Error): void {
    this.refusal.abort(reason);
  }
}

function yieldTo(pid: number): void {
  try {
    os.setPriority(pid, longNiceness);
  } catch {
    // It has ended meanwhile.
  }
}
