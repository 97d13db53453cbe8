// SPDX-License-Identifier: Apache-2.0
import v8 from "node:v8";
import { startInterval } from "../timers.ts";
import { collectOwn, collectYoung } from "./give-back.ts";
import { heldBytesOf, type MemoryLimit, readMemoryLimit } from "./memory-limit.ts";

export interface ReliefOptions {
  readonly limit: MemoryLimit;
  /** What the cgroup holds, in bytes, file pages aside. */
  readonly heldBytes: () => number;
  /** Gives back what this thread keeps for later. */
  readonly giveBack: () => void;
  /** What this thread's buffers take, those included that it has given up since it last collected. */
  readonly bufferBytes?: () => number;
  /** Gives back the buffers that were used for a moment. */
  readonly giveBackYoung?: () => void;
  readonly now?: () => number;
}

/** Of the limit: below it there is no need to collect before V8 does by itself. */
const easy = 0.65;
/** Of the limit: what may be used and given up before it is collected. */
const mostSpent = 1 / 12;
const lookEveryMs = 500;
/** A thread looks after its buffers this often. */
const bufferLookEveryMs = 100;
/** Of the limit: what a thread's buffers may grow by before those that it gave up are collected. */
const mostYoung = 1 / 48;
/** Collecting that brings nothing is tried again after this, and then after ever longer. */
const firstPauseMs = 2_000;
const longestPauseMs = 60_000;
/** Of the limit: what is worth it. */
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

  constructor(options: ReliefOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /** Bytes of large buffers were used and given up; they are there until they are collected. */
  spent(bytes: number): void {
    const { limit, giveBack } = this.#options;
    if (limit.cgroup === undefined) return;
    this.#spentBytes += bytes;
    if (this.#spentBytes < limit.bytes * mostSpent || this.#isEasy()) return;
    this.#spentBytes = 0;
    giveBack();
  }

  /** To be called now and then. */
  look(): void {
    const { limit, heldBytes, giveBack } = this.#options;
    const now = this.#now();
    if (now < this.#nextAt) return this.#lookAtBuffers();
    this.#nextAt = now + lookEveryMs;
    if (this.#isEasy()) return;
    const before = heldBytes();
    giveBack();
    this.#spentBytes = 0;
    const isWorthIt = before - heldBytes() > limit.bytes * worthwhile;
    this.#pauseMs = isWorthIt ? firstPauseMs : Math.min(2 * this.#pauseMs, longestPauseMs);
    this.#nextAt = now + this.#pauseMs;
  }

  /** A flood of output goes through a thread in buffers of a moment, which V8 takes its time to collect. */
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

/** Looks after this thread's heap while the thread lives; nothing where no cgroup limits the daemon. */
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
    }),
    bufferLookEveryMs,
  );
}

export function lookRegularly(relief: MemoryRelief, everyMs = lookEveryMs): Disposable {
  return startInterval(() => relief.look(), everyMs).unref();
}
