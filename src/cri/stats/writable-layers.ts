// SPDX-License-Identifier: Apache-2.0

import { nowNanos } from "../../base/now.ts";
import { within } from "../../base/waits.ts";
import type { SnapshotUsage, UsageCall } from "../../snapshots/ports.ts";
import { RecentMap } from "./recent-map.ts";

export interface LayerUsage {
  readonly takenAtNanos: bigint;
  readonly sizeBytes: bigint;
  readonly inodes: bigint;
}

export interface LayerSource {
  /** What a container's writable layer holds; may walk a directory. */
  readonly snapshotUsage: (key: string, call: UsageCall) => Promise<SnapshotUsage>;
  /** How long the figures of a layer are good for. */
  readonly statsPeriodMs: () => number;
}

interface Entry {
  usage: LayerUsage | undefined;
  /** Not walked again before this. */
  dueAtMs: number;
  /** How long the last walk took. */
  costMs: number;
  reading: Promise<void> | undefined;
}

/** Walks that took longer than this come one after the other, with a rest after each. */
const longWalkMs = 100;
/** The rest, in the time that the walk took: of a core long walks take a quarter at most. */
const restFactor = 3;
/** Nobody else's walk waits longer than this for one that never ends. */
const longestRestMs = 60_000;
/** A walk that is not known to be long ends after this; it is then, and takes its turn. */
const firstWalkMs = 10_000;
const longestWalkMs = 600_000;
/** How long the first answer waits for a walk; later ones never wait. */
const firstWaitMs = 1000;

/**
 * What writable layers hold, read at most once a period each. Walking a layer of a million files takes
 * seconds, so an answer takes the last figure there is while a new one is on its way, and layers whose
 * walks are long take turns. A walk that is cut short, or could not go everywhere, is a lower bound: it
 * raises the figure, and never lowers it.
 */
export class WritableLayers {
  readonly #source: LayerSource;
  readonly #now: () => number;
  readonly #entries = new RecentMap<Entry>(600_000);
  /** Those whose next long walk is due, the longest waiting first. */
  readonly #waiting = new Map<string, Entry>();
  #isOnLongWalk = false;
  #restUntilMs = Number.NEGATIVE_INFINITY;

  constructor(source: LayerSource, now: () => number = () => performance.now()) {
    this.#source = source;
    this.#now = now;
  }

  /** undefined until a first walk has ended. */
  async usage(key: string): Promise<LayerUsage | undefined> {
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      const dueAtMs = Number.NEGATIVE_INFINITY;
      entry = { usage: undefined, dueAtMs, costMs: 0, reading: undefined };
      this.#entries.set(key, entry);
    }
    if (entry.reading === undefined && this.#now() >= entry.dueAtMs) {
      if (entry.costMs < longWalkMs) entry.reading = this.#walk(key, entry, firstWalkMs);
      else this.#waiting.set(key, entry);
    }
    this.#startLongWalk();
    if (entry.usage === undefined && entry.reading !== undefined) {
      await within(entry.reading, firstWaitMs);
    }
    return entry.usage;
  }

  #startLongWalk(): void {
    if (this.#isOnLongWalk || this.#now() < this.#restUntilMs) return;
    const [next] = this.#waiting;
    if (next === undefined) return;
    const [key, entry] = next;
    this.#waiting.delete(key);
    this.#isOnLongWalk = true;
    entry.reading = this.#walk(key, entry, longestWalkMs).finally(() => {
      this.#isOnLongWalk = false;
    });
  }

  async #walk(key: string, entry: Entry, longestMs: number): Promise<void> {
    const startedAtMs = this.#now();
    try {
      const found = await this.#source.snapshotUsage(key, { signal: noEnd, longestMs });
      const { sizeBytes, inodes } = found.isPartial ? larger(found, entry.usage) : found;
      entry.usage = { takenAtNanos: nowNanos(), sizeBytes, inodes };
    } catch {
      // A layer that goes away meanwhile is the usual reason; the figure then stays what it was.
    } finally {
      const now = this.#now();
      entry.costMs = now - startedAtMs;
      entry.dueAtMs = now + this.#source.statsPeriodMs();
      entry.reading = undefined;
      if (entry.costMs >= longWalkMs) {
        const restMs = Math.min(restFactor * entry.costMs, longestRestMs);
        this.#restUntilMs = Math.max(this.#restUntilMs, now + restMs);
      }
    }
  }
}

/** The thread that walks is bounded, and ends its jobs when the daemon stops. */
const noEnd = new AbortController().signal;

function larger(found: SnapshotUsage, last: LayerUsage | undefined): SnapshotUsage {
  if (last === undefined) return found;
  const { sizeBytes, inodes } = last;
  return {
    sizeBytes: found.sizeBytes > sizeBytes ? found.sizeBytes : sizeBytes,
    inodes: found.inodes > inodes ? found.inodes : inodes,
  };
}
