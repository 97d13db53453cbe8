// SPDX-License-Identifier: Apache-2.0
import { timeoutSignal } from "./timers.ts";

/** What everything that can wait takes. */
export interface Cancellable {
  readonly signal: AbortSignal;
}

/**
 * The signal for undo and cleanup work. It never is the request's own: a cancelled request must
 * still be able to clean up, but not for ever.
 */
export function cleanupDeadline(timeoutMs = 10_000): AbortSignal {
  return timeoutSignal(timeoutMs);
}
