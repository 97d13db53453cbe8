// SPDX-License-Identifier: Apache-2.0
import type { Deadline } from "./deadline.ts";
import { onAbort } from "./on-abort.ts";
import { startInterval, timeoutReason } from "./timers.ts";

/** How much a look at the clock adds at most: a part of the limit, or one hold-up would be all of a short one. */
const lookMs = 100;
const lookShare = 0.25;
/** A thread that hardly ever gets its turn goes on after so many times the limit. */
const longest = 20;

/**
 * As `timeLimit`, for a wait at whose end something is destroyed: counted is the time in which this thread had its turns. What
 * held it up, be it its own work or a machine with too much to do, held up the other side as well, or left its answer unread.
 * Ends after twenty times `ms` at the latest.
 */
export function turnLimit(ms: number, ...signals: AbortSignal[]): Deadline {
  const abort = new AbortController();
  const mostMs = Math.min(lookMs, ms * lookShare);
  const from = performance.now();
  let seen = from;
  let counted = 0;
  const isOver = (): boolean => counted >= ms || seen - from >= ms * longest;
  const look = (): void => {
    const now = performance.now();
    counted += Math.min(now - seen, mostMs);
    seen = now;
    if (!isOver()) return;
    timer.stop();
    setImmediate(() => abort.abort(timeoutReason())); // what has come meanwhile is read first
  };
  const timer = startInterval(look, mostMs).unref();
  const reactions = signals.map((signal) =>
    onAbort(signal, (why) => {
      timer.stop();
      abort.abort(why);
    }),
  );
  return {
    signal: abort.signal,
    [Symbol.dispose]: () => {
      timer.stop();
      for (const reaction of reactions) reaction[Symbol.dispose]();
    },
  };
}
