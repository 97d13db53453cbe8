// SPDX-License-Identifier: Apache-2.0
import v8 from "node:v8";
import { startInterval } from "../timers.ts";
import { collectOwn, collectYoung } from "./give-back.ts";
import { heldBytesOf, type MemoryLimit, readMemoryLimit } from "./memory-limit.ts";
import { reliefCalls } from "./relief-call.ts";

export interface ReliefOptions {
  readonly limit: MemoryLimit;
  /** What the cgroup holds, in bytes, without file pages. */
  readonly heldBytes: () => number;
  /** Collects this thread's garbage and gives back what it keeps for later. */
  readonly giveBack: () => void;
  /** What this thread's buffers take, with those that are garbage and not collected yet. */
  readonly bufferBytes?: () => number;
  /** Collects the buffers that were used only briefly. */
  readonly giveBackYoung?: () => void;
  /** How often other threads have asked that all collect. Default none. */
  readonly calls?: () => number;
  readonly now?: () => number;
}

/** Share of the limit below which garbage is left to V8. */
const easy = 0.65;
/** Share of the limit that may become garbage before it is collected. */
const mostSpent = 1 / 12;
const lookEveryMs = 500;
/** How often a thread looks at its buffers. */
const bufferLookEveryMs = 100;
/** Share of the limit by which a thread's buffers may grow before the garbage among them is collected. */
const mostYoung = 1 / 48;
/** When collecting brought nothing, the wait before it is tried again; it grows each time. */
const firstPauseMs = 2_000;
const longestPauseMs = 60_000;
/** Share of the limit that a collection must bring to be worth it. */
const worthwhile = 0.02;

/**
 * V8 collects when its own heap is full. It knows nothing of the cgroup, in which other heaps, buffers and
 * processes are, so a thread's garbage is collected earlier while that fills up.
 */
export class MemoryRelief {
  readonly #options: ReliefOptions;
  readonly #now: () => number;
  #spentBytes = 0;
  #pauseMs = firstPauseMs;
  #nextAt = Number.NEGATIVE_INFINITY;
  #leastBufferBytes = Number.POSITIVE_INFINITY;
  #callsSeen = 0;

  constructor(options: ReliefOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /** Reports that bytes of large buffers were used and are garbage now. */
  spent(bytes: number): void {
    const { limit, giveBack } = this.#options;
    if (limit.cgroup === undefined) return;
    this.#spentBytes += bytes;
    if (this.#spentBytes < limit.bytes * mostSpent || this.#isEasy()) return;
    this.#spentBytes = 0;
    giveBack();
  }

  /** To be called from time to time. */
  look(): void {
    const { limit, heldBytes, giveBack } = this.#options;
    const now = this.#now();
    const calls = this.#options.calls?.() ?? 0;
    if (now < this.#nextAt && calls === this.#callsSeen) return this.#lookAtBuffers();
    this.#callsSeen = calls;
    this.#nextAt = now + lookEveryMs;
    if (this.#isEasy()) return;
    const before = heldBytes();
    giveBack();
    this.#spentBytes = 0;
    const isWorthIt = before - heldBytes() > limit.bytes * worthwhile;
    this.#pauseMs = isWorthIt ? firstPauseMs : Math.min(2 * this.#pauseMs, longestPauseMs);
    this.#nextAt = now + this.#pauseMs;
  }

  /** A flood of output passes through a thread in short-lived buffers, which V8 does not hurry to collect. */
  #lookAtBuffers(): void {
    const { limit, bufferBytes, giveBackYoung } = this.#options;
    if (bufferBytes === undefined || giveBackYoung === undefined) return;
    const bytes = bufferBytes();
    this.#leastBufferBytes = Math.min(this.#leastBufferBytes, bytes);
    if (bytes - this.#leastBufferBytes < limit.bytes * mostYoung || this.#isEasy()) return;
    giveBackYoung();
    this.#leastBufferBytes = bufferBytes();
  }

  #isEasy(): boolean {
    return this.#options.heldBytes() <= this.#options.limit.bytes * easy;
  }
}

/** Collects this thread's garbage early while the thread lives; does nothing where no cgroup limits the daemon. */
export function relieveThread(): void {
  const limit = readMemoryLimit();
  if (limit.cgroup === undefined) return;
  const heldBytes = (): number => heldBytesOf(limit);
  const bufferBytes = (): number => v8.getHeapStatistics().external_memory;
  lookRegularly(
    new MemoryRelief({
      limit,
      heldBytes,
      giveBack: collectOwn,
      bufferBytes,
      giveBackYoung: collectYoung,
      calls: reliefCalls,
    }),
    bufferLookEveryMs,
  );
}

export function lookRegularly(relief: MemoryRelief, everyMs = lookEveryMs): Disposable {
  return startInterval(() => relief.look(), everyMs).unref();
}
