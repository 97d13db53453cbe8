// SPDX-License-Identifier: Apache-2.0
import { cleanupDeadline } from "../../base/cancellable.ts";
import type { StatsPorts } from "./ports.ts";

export interface LayerUsage {
  readonly takenAtNanos: bigint;
  readonly sizeBytes: bigint;
  readonly inodes: bigint;
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
  readonly #ports: Pick<StatsPorts, "snapshotUsage" | "statsPeriodMs">;
  readonly #entries = new Map<string, Entry>();

  constructor(ports: Pick<StatsPorts, "snapshotUsage" | "statsPeriodMs">) {
    this.#ports = ports;
  }

  /** undefined until a first walk has ended. */
  async usage(key: string): Promise<LayerUsage | undefined> {
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      entry = { usage: undefined, readAtMs: Number.NEGATIVE_INFINITY, reading: undefined };
      this.#entries.set(key, entry);
    }
    const isStale = performance.now() - entry.readAtMs >= this.#ports.statsPeriodMs;
    if (isStale) entry.reading ??= this.#refresh(key, entry);
    if (entry.usage === undefined && entry.reading !== undefined) {
      await withinFirstWait(entry.reading);
    }
    return entry.usage;
  }

  /** Forgets all but these. */
  keep(keys: ReadonlySet<string>): void {
    for (const key of this.#entries.keys()) if (!keys.has(key)) this.#entries.delete(key);
  }

  async #refresh(key: string, entry: Entry): Promise<void> {
    try {
      const signal = cleanupDeadline(walkTimeoutMs);
      const { sizeBytes, inodes } = await this.#ports.snapshotUsage(key, { signal });
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
  const timer = setTimeout(resolve, firstWaitMs);
  try {
    await Promise.race([reading, promise]);
  } finally {
    clearTimeout(timer);
  }
}
