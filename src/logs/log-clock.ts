// SPDX-License-Identifier: Apache-2.0

/** Bytes of a timestamp: `2026-11-23T22:20:00.123456789Z`. */
export const TIMESTAMP_LENGTH = 30;

const MILLIS_OFFSET = 20;
const SUB_MILLIS_OFFSET = 23;

export interface ClockSources {
  /** Wall clock in whole milliseconds since the epoch. */
  readonly wallMs: () => number;
  /** Monotonic clock in milliseconds with a fraction. */
  readonly monotonicMs: () => number;
}

const systemSources: ClockSources = { wallMs: Date.now, monotonicMs: () => performance.now() };

/**
 * RFC 3339 timestamps in UTC with nine digits. JavaScript's wall clock ends at the millisecond, so
 * the digits below come from the monotonic clock, whose distance to the wall clock is corrected
 * whenever the two disagree about the millisecond. A stepped wall clock is therefore followed at
 * once, and within one setting of the clock time never runs backwards.
 */
export class LogClock {
  readonly #sources: ClockSources;
  #offsetMs: number;
  #second = Number.NaN;
  readonly #text = Buffer.alloc(TIMESTAMP_LENGTH, "0000-00-00T00:00:00.000000000Z", "latin1");

  constructor(sources: ClockSources = systemSources) {
    this.#sources = sources;
    this.#offsetMs = sources.wallMs() - sources.monotonicMs();
  }

  /** The present moment as text. The buffer is the clock's own and changes with the next call. */
  now(): Buffer {
    const wallMs = this.#sources.wallMs();
    const monotonicMs = this.#sources.monotonicMs();
    let subMillis = monotonicMs + this.#offsetMs - wallMs;
    if (subMillis < 0 || subMillis >= 1) {
      subMillis = subMillis < 0 ? 0 : 0.999_999;
      this.#offsetMs = wallMs + subMillis - monotonicMs;
    }
    const second = Math.floor(wallMs / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#text.write(new Date(second * 1000).toISOString().slice(0, MILLIS_OFFSET - 1), "latin1");
    }
    writeDigits(this.#text, MILLIS_OFFSET, 3, wallMs - second * 1000);
    writeDigits(this.#text, SUB_MILLIS_OFFSET, 6, Math.floor(subMillis * 1e6));
    return this.#text;
  }
}

function writeDigits(target: Buffer, at: number, width: number, value: number): void {
  let rest = value;
  for (let index = at + width - 1; index >= at; index--) {
    target[index] = 0x30 + (rest % 10);
    rest = Math.floor(rest / 10);
  }
}
