// SPDX-License-Identifier: Apache-2.0

import type { Cancellable } from "./cancellable.ts";
import { sleep } from "./timers.ts";

export interface RetryOptions extends Partial<Cancellable> {
  /** Attempts in all, the first included. */
  readonly attempts: number;
  /** Wait before the second attempt; it doubles each time, up to `maxDelayMs`. */
  readonly delayMs: number;
  readonly maxDelayMs?: number;
  /** False ends it at once with that error. Default: every error is worth another attempt. */
  readonly isRetryable?: (error: unknown, attempt: number) => boolean;
}

/**
 * Repeats `work` until it succeeds, the attempts are used up, or an error is not retryable; then the last error is
 * thrown as it is. `attempt` counts from 1. The waits are jittered (half to full), so that many callers that failed
 * together do not come back together.
 */
export async function retry<T>(
  work: (attempt: number) => Promise<T>,
  options: RetryOptions,
): Promise<T> {
  const { attempts, delayMs, maxDelayMs = 30_000, isRetryable = () => true, signal } = options;
  for (let attempt = 1; ; attempt += 1) {
    signal?.throwIfAborted();
    try {
      return await work(attempt);
    } catch (error) {
      if (attempt >= attempts || signal?.aborted === true || !isRetryable(error, attempt)) {
        throw error;
      }
    }
    const fullMs = Math.min(delayMs * 2 ** (attempt - 1), maxDelayMs);
    await sleep(fullMs * (0.5 + Math.random() / 2), { signal });
  }
}
