// SPDX-License-Identifier: Apache-2.0

import { type Cancellable, cleanupDeadline } from "../../base/cancellable.ts";
import { startTimer } from "../../base/timers.ts";
import { RecentMap } from "./recent-map.ts";

export interface LayerUsage {
  readonly takenAtNanos: bigint;
  readonly sizeBytes: bigint;
  readonly inodes: bigint;
}

export interface LayerSource {
  /** What a container's writable layer holds; may walk a directory. */
  readonly snapshotUsage: (
    key: string,
    call: Cancellable,
  ) => Promise<{ readonly sizeBytes: bigint; readonly inodes: bigint }>;
  /** How long the figures of a layer are good for. */
  readonly statsPeriodMs: () => number;
}

interface Entry {
  usage: LayerUsage | undefined;
  readAtMs: number;
  reading: Promise<void> | undefined;
}

/** A walk longer than this is given up; the next period tries again. */
const walkTimeoutMs = 60_000;
/** How long the first answer waits for a walk; later ones never wait. */
const firstWaitMs = 1000;

/**
 * What writable layers hold, read at most once a period each. Walking a layer of a million files takes
 * minutes, so an answer takes the last figure there is while a new one is on its way.
 */
export class WritableLayers {
  readonly #source: LayerSource;
  readonly #entries = new RecentMap<Entry>(600_000);

  constructor(source: LayerSource) {
    this.#source = source;
  }

  /** undefined until a first walk has ended. */
  async usage(key: string): Promise<LayerUsage | undefined> {
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      entry = { usage: undefined, readAtMs: Number.NEGATIVE_INFINITY, reading: undefined };
      this.#entries.set(key, entry);
    }
    const isStale = performance.now() - entry.readAtMs >= this.#source.statsPeriodMs();
    if (isStale) entry.reading ??= this.#refresh(key, entry);
    if (entry.usage === undefined && entry.reading !== undefined) {
      await withinFirstWait(entry.reading);
    }
    return entry.usage;
  }

  async #refresh(key: string, entry: Entry): Promise<void> {
    try {
      const signal = cleanupDeadline(walkTimeoutMs);
      const { sizeBytes, inodes } = await this.#source.snapshotUsage(key, { signal });
      entry.usage = { takenAtNanos: BigInt(Date.now()) * 1_000_000n, sizeBytes, inodes };
    } catch {
      // A layer that goes away meanwhile is the usual reason; the figure then stays what it was.
    } finally {
      entry.readAtMs = performance.now();
      entry.reading = undefined;
    }
  }
}

async function withinFirstWait(reading: Promise<void>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = startTimer(resolve, firstWaitMs);
  try {
    await Promise.race([reading, promise]);
  } finally {
    timer.stop();
  }
}
