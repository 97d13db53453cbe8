// SPDX-License-Identifier: Apache-2.0
import { startInterval, type Timer } from "../base/timers.ts";
import type { BusyMark, BusyWith } from "./busy-mark.ts";

/** How many times a worker must be seen at the very same piece of work, a fifth of `hangMs` apart. */
const looks = 5;

/**
 * Calls `onHang` when a worker has been at one piece of work for `hangMs`, and again as long as it is. It counts
 * looks, not time: when the whole machine stood still, so did the worker.
 */
export function watchForHangs(
  mark: BusyMark,
  hangMs: number,
  onHang: (work: BusyWith) => void,
): Timer {
  let last: BusyWith | undefined;
  let seen = 0;
  return startInterval(() => {
    const now = mark.read();
    seen = now !== undefined && now.turn === last?.turn ? seen + 1 : 0;
    last = now;
    if (now !== undefined && seen >= looks) onHang(now);
  }, hangMs / looks).unref();
}
