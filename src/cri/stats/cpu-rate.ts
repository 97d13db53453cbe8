// SPDX-License-Identifier: Apache-2.0
import { RecentMap } from "./recent-map.ts";

interface Reading {
  readonly usageNanos: bigint;
  readonly atNanos: bigint;
}

interface Track {
  readonly last: Reading;
  readonly nanoCores: bigint | undefined;
}

/** Closer readings than this would measure the clock rather than the container. */
const shortestWindowNanos = 500_000_000n;

/**
 * CPU in use now, from the readings that stats calls bring along: nothing polls. The rate is over
 * the time since the last reading; a call that comes too soon gets the rate before.
 */
export class CpuRates {
  readonly #tracks = new RecentMap<Track>(600_000);

  /** Billionths of a core; undefined at the first reading, and after the counter went backwards. */
  update(id: string, usageNanos: bigint, atNanos: bigint): bigint | undefined {
    const track = this.#tracks.get(id);
    const reading = { usageNanos, atNanos };
    if (track === undefined || usageNanos < track.last.usageNanos || atNanos < track.last.atNanos) {
      this.#tracks.set(id, { last: reading, nanoCores: undefined });
      return undefined;
    }
    const elapsed = atNanos - track.last.atNanos;
    if (elapsed < shortestWindowNanos) return track.nanoCores;
    const nanoCores = ((usageNanos - track.last.usageNanos) * 1_000_000_000n) / elapsed;
    this.#tracks.set(id, { last: reading, nanoCores });
    return nanoCores;
  }
}
