// SPDX-License-Identifier: Apache-2.0
import { constants, PerformanceObserver } from "node:perf_hooks";
import v8 from "node:v8";
import { gaveBackOwn, giveBackKernels, giveBackOwn } from "./give-back.ts";
import { type MemoryLimit, type MemoryUse, readMemoryUse } from "./memory-limit.ts";
import { lookRegularly, MemoryRelief } from "./memory-relief.ts";
import { callForRelief } from "./relief-call.ts";

/** Watches whether the daemon's memory is all but used up. */
export interface MemoryPressure extends Disposable {
  /**
   * A clause that names what is short; undefined while there is enough. Cheap most of the time: before anything is
   * refused, what is kept for later is given back.
   */
  shortage(): string | undefined;
  /** Reports that memory of large messages was used and is garbage now. */
  spent(bytes: number): void;
  /** What the cgroup counts, without file pages; undefined without a limit. */
  use(): MemoryUse | undefined;
}

const mib = 2 ** 20;
const majorCollection = constants.NODE_PERFORMANCE_GC_MAJOR;
/** The share of the cgroup's limit that must be free: work that has begun takes some more before it ends. */
const leastLeft = 1 / 5;
/** The share of the heap's limit that may be in use after a collection. */
const mostOfHeap = 0.85;
/** The kernel's counters are read no more often than this. */
const readEveryMs = 100;

export function watchMemory(limit: MemoryLimit): MemoryPressure {
  return new Watch(limit);
}

class Watch implements MemoryPressure {
  readonly #limit: MemoryLimit;
  readonly #observer: PerformanceObserver;
  readonly #relief: MemoryRelief;
  readonly #looking: Disposable | undefined;
  readonly #heapLimit = v8.getHeapStatistics().heap_size_limit;
  #use: MemoryUse | undefined;
  #readAt = Number.NEGATIVE_INFINITY;
  #liveBytes = 0;

  constructor(limit: MemoryLimit) {
    this.#limit = limit;
    // How much is really in use is known after a collection only; before the next one garbage counts too.
    this.#observer = new PerformanceObserver((list) => {
      const isMajor = list
        .getEntries()
        .some(
          (entry) => (entry as { detail?: { kind?: number } }).detail?.kind === majorCollection,
        );
      if (isMajor) this.#liveBytes = v8.getHeapStatistics().used_heap_size;
    });
    this.#observer.observe({ entryTypes: ["gc"] });
    this.#relief = new MemoryRelief({
      limit,
      heldBytes: () => this.#readUse()?.heldBytes ?? 0,
      giveBack: giveBackOwn,
    });
    if (limit.cgroup !== undefined) this.#looking = lookRegularly(this.#relief);
  }

  shortage(): string | undefined {
    if (this.#shortage() === undefined) return undefined;
    if (!gaveBackOwn()) return this.#shortage();
    this.#liveBytes = v8.getHeapStatistics().used_heap_size;
    this.#readAt = Number.NEGATIVE_INFINITY;
    const shortage = this.#shortage();
    if (shortage === undefined) return undefined;
    giveBackKernels(this.#limit);
    callForRelief(); // a thread that found nothing to collect may not look again for a minute
    return shortage;
  }

  #shortage(): string | undefined {
    const { bytes, cgroup } = this.#limit;
    const held = this.use()?.heldBytes ?? 0;
    if (cgroup !== undefined && held > bytes * (1 - leastLeft)) {
      return `cgroup "${cgroup}" holds ${inMib(held)} of the ${inMib(bytes)} that it may have`;
    }
    if (this.#liveBytes > this.#heapLimit * mostOfHeap) {
      return `the daemon's heap holds ${inMib(this.#liveBytes)} of the ${inMib(this.#heapLimit)} that it may have`;
    }
    return undefined;
  }

  spent(bytes: number): void {
    this.#relief.spent(bytes);
  }

  use(): MemoryUse | undefined {
    const isFresh = performance.now() - this.#readAt < readEveryMs;
    return isFresh ? this.#use : this.#readUse();
  }

  #readUse(): MemoryUse | undefined {
    this.#readAt = performance.now();
    this.#use = readMemoryUse(this.#limit);
    return this.#use;
  }

  [Symbol.dispose](): void {
    this.#observer.disconnect();
    this.#looking?.[Symbol.dispose]();
  }
}

function inMib(bytes: number): string {
  return `${Math.round(bytes / mib)} MiB`;
}
