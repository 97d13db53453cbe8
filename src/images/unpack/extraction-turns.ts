// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { Semaphore } from "../../base/semaphore.ts";
import { startTimer } from "../../base/timers.ts";

export interface TurnsOptions {
  /** Extractions at once, while none takes long. */
  readonly atOnce: number;
  /** From here on one takes long. Milliseconds. */
  readonly longAfterMs: number;
  /** How many that take long go on beside the others; the rest keep their place among them. */
  readonly longAtOnce: number;
}

/**
 * Who may extract a layer now. Few at a time, in the order of arrival; one that takes long stops counting,
 * so that the layers of one image, huge or made to be slow, do not hold up those of all others.
 */
export class ExtractionTurns {
  readonly #options: TurnsOptions;
  readonly #quick: Semaphore;
  readonly #long = new Set<symbol>();

  constructor(options: TurnsOptions) {
    this.#options = options;
    this.#quick = new Semaphore(options.atOnce);
  }

  /** Waits for a turn, until disposed. \`onLong\` tells that it takes long and others have come beside it. */
  async acquire(call: Cancellable, onLong: () => void): Promise<Disposable> {
    const permit = await this.#quick.acquire(call);
    const self = Symbol();
    const look = (): void => {
      if (this.#long.size >= this.#options.longAtOnce) {
        timer = startTimer(look, this.#options.longAfterMs);
        return;
      }
      this.#long.add(self);
      permit[Symbol.dispose]();
      onLong();
    };
    let timer = startTimer(look, this.#options.longAfterMs);
    return {
      [Symbol.dispose]: () => {
        timer.stop();
        this.#long.delete(self);
        permit[Symbol.dispose]();
      },
    };
  }
}
