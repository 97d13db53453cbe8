// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { fault, type RuntimeFault } from "../../base/errors.ts";
import { Semaphore } from "../../base/semaphore.ts";
import { type OneTimer, startTimer } from "../../base/timers.ts";

export interface TurnsOptions {
  /** Extractions at once, while none takes long. */
  readonly atOnce: number;
  /** An extraction takes long from here on. Milliseconds. */
  readonly longAfterMs: number;
  /** How many of those that take long run beside the others. */
  readonly longAtOnce: number;
  /**
   * How many more of these wait, stopped; those that come then are refused. With 0 none is refused: it keeps its
   * place among those that do not take long until there is room.
   */
  readonly longWaiting: number;
  /** How long one runs before another that waits takes its place. Milliseconds. */
  readonly sliceMs: number;
}

/** How an extraction that takes long is told to go on. */
export interface Course {
  /** It takes long now, and others run beside it. */
  long(): void;
  /** It must stop, or may go on. */
  pause(isPaused: boolean): void;
  /** It must end: RESOURCE_EXHAUSTED. */
  refuse(reason: RuntimeFault): void;
}

interface Turn {
  readonly course: Course;
  slice?: OneTimer;
}

/**
 * Decides which layers are extracted now: a few at a time, in the order of arrival. One that takes long stops
 * counting, so that the layers of one image, huge or made to be slow, do not hold up all others. Those that take long
 * take turns among themselves.
 */
export class ExtractionTurns {
  readonly #options: TurnsOptions;
  readonly #quick: Semaphore;
  readonly #long = new Set<Turn>();
  readonly #waiting = new Set<Turn>();

  constructor(options: TurnsOptions) {
    this.#options = options;
    this.#quick = new Semaphore(options.atOnce);
  }

  /** Waits for a turn, which ends when it is disposed. */
  async acquire(call: Cancellable, course: Course): Promise<Disposable> {
    return this.#begin(await this.#quick.acquire(call), course);
  }

  /** A turn if nobody else has to wait for it. */
  tryAcquire(course: Course): Disposable | undefined {
    const permit = this.#quick.tryAcquire();
    return permit && this.#begin(permit, course);
  }

  #begin(permit: Disposable, course: Course): Disposable {
    const turn: Turn = { course };
    const { longAfterMs, longAtOnce, longWaiting } = this.#options;
    const timer = startTimer(() => {
      if (longWaiting === 0 && this.#long.size >= longAtOnce) return timer.refresh();
      permit[Symbol.dispose]();
      this.#takesLong(turn);
    }, longAfterMs);
    return {
      [Symbol.dispose]: () => {
        timer.stop();
        permit[Symbol.dispose]();
        this.#leave(turn);
      },
    };
  }

  #takesLong(turn: Turn): void {
    const { longAtOnce, longWaiting } = this.#options;
    if (this.#long.size < longAtOnce) {
      turn.course.long();
      this.#goOn(turn);
    } else if (this.#waiting.size < longWaiting) {
      turn.course.long();
      this.#wait(turn);
    } else {
      turn.course.refuse(
        fault("RESOURCE_EXHAUSTED", "too many layers that take long are being extracted"),
      );
    }
  }

  #wait(turn: Turn): void {
    this.#waiting.add(turn);
    turn.course.pause(true);
  }

  #goOn(turn: Turn): void {
    this.#long.add(turn);
    turn.slice = startTimer(() => {
      this.#long.delete(turn);
      const isAlone = this.#waiting.size === 0;
      this.#next();
      if (isAlone) this.#goOn(turn);
      else this.#wait(turn);
    }, this.#options.sliceMs);
  }

  /** Lets the extraction that has waited longest go on. */
  #next(): void {
    const [next] = this.#waiting;
    if (!next) return;
    this.#waiting.delete(next);
    next.course.pause(false);
    this.#goOn(next);
  }

  #leave(turn: Turn): void {
    this.#waiting.delete(turn);
    turn.slice?.stop();
    if (this.#long.delete(turn)) this.#next();
  }
}
