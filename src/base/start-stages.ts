// SPDX-License-Identifier: Apache-2.0

/** How long each stage of a start took, in whole milliseconds and in order, the first one from the process's own beginning. */
export class StartStages {
  readonly #now: () => number;
  readonly #took: Record<string, number> = {};
  #from = 0;

  /** `now` counts from the process's beginning. */
  constructor(now = () => performance.now()) {
    this.#now = now;
  }

  /** What went on until now was this stage. */
  end(stage: string): void {
    const now = this.#now();
    this.#took[stage] = Math.round(now - this.#from);
    this.#from = now;
  }

  /** By the stages' names, and all of them together. */
  facts(): Readonly<Record<string, number>> {
    return { ...this.#took, all: Math.round(this.#from) };
  }
}
