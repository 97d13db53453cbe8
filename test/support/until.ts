// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from "node:timers/promises";

type Truthy<T> = Exclude<T, false | 0 | 0n | "" | null | undefined>;

export interface UntilOptions {
  /** Default 60 s: generous, since a busy machine is slow and a healthy one answers at once. */
  readonly timeoutMs?: number;
  readonly everyMs?: number;
}

/** Where all is slow, in an emulated machine say, every wait is this many times as long. */
const patience = Number(process.env["BERTH_TEST_PATIENCE"] ?? 1);

/** Thrown by a probe when what it waits for can no longer come. */
export class GivenUp extends Error {}

/**
 * Asks again and again until `probe` gives something truthy, and answers that. What it throws
 * counts as "not yet" and is told when the time is up.
 */
export async function until<T>(
  what: string,
  probe: () => Promise<T> | T,
  { timeoutMs = 60_000, everyMs = 25 }: UntilOptions = {},
): Promise<Truthy<T>> {
  const end = performance.now() + timeoutMs * patience;
  let last: unknown;
  for (;;) {
    try {
      last = await probe();
      if (last) return last as Truthy<T>;
    } catch (error) {
      if (error instanceof GivenUp) throw error;
      last = error;
    }
    if (performance.now() >= end) {
      throw new Error(`not within ${timeoutMs} ms: ${what} (last: ${String(last)})`, {
        cause: last,
      });
    }
    await sleep(everyMs);
  }
}
