// SPDX-License-Identifier: Apache-2.0
import type { Problem } from "./ports.ts";

const lastMs = 600_000;

/** What failed, and when it is tried again: later each time. */
export class PutOff {
  readonly #firstMs: number;
  #failures = 0;
  #untilMs = 0;

  constructor(firstMs: number) {
    this.#firstMs = firstMs;
  }

  isOver(nowMs: number): boolean {
    return nowMs >= this.#untilMs;
  }

  /** When it has been over for so long that it is not worth to be kept. */
  isOld(nowMs: number): boolean {
    return nowMs - this.#untilMs > lastMs;
  }

  failed({ retryAfterMs = 0 }: Problem, nowMs: number): void {
    const pauseMs = Math.min(this.#firstMs * 2 ** Math.min(this.#failures, 20), lastMs);
    this.#failures += 1;
    this.#untilMs = nowMs + Math.max(pauseMs, retryAfterMs);
  }
}
