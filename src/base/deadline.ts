// SPDX-License-Identifier: Apache-2.0

import type { Cancellable } from "./cancellable.ts";
import { fault, type RuntimeFault } from "./errors.ts";
import { startTimer, timeoutReason } from "./timers.ts";

/** A signal with an end of its own; dispose it when the work is done, so that its timer goes. */
export type Deadline = Cancellable & Disposable;

/**
 * Fires after `ms` with a DEADLINE_EXCEEDED fault that says `what`, or with the fault that is given, or
 * when one of `signals` does. Unlike AbortSignal.timeout it leaves no timer behind once disposed.
 */
export function deadline(
  ms: number,
  what: string | RuntimeFault,
  ...signals: AbortSignal[]
): Deadline {
  return limited(
    ms,
    () =>
      typeof what === "string"
        ? fault("DEADLINE_EXCEEDED", `${what} took longer than ${ms / 1000} s`)
        : what,
    signals,
  );
}

/** As `deadline`, with the reason that AbortSignal.timeout gives. */
export function timeLimit(ms: number, ...signals: AbortSignal[]): Deadline {
  return limited(ms, timeoutReason, signals);
}

function limited(ms: number, reason: () => Error, signals: readonly AbortSignal[]): Deadline {
  const abort = new AbortController();
  const timer = startTimer(() => abort.abort(reason()), ms).unref();
  const forward = (event: Event): void => abort.abort((event.target as AbortSignal).reason);
  for (const signal of signals) {
    if (signal.aborted) abort.abort(signal.reason);
    else signal.addEventListener("abort", forward, { once: true });
  }
  return {
    signal: abort.signal,
    [Symbol.dispose]: () => {
      timer.stop();
      for (const signal of signals) signal.removeEventListener("abort", forward);
    },
  };
}

/** The promise's value, or undefined once `ms` are over; the work goes on. Rejects when `signal` fires. */
export async function within<T>(
  work: Promise<T>,
  ms: number,
  signal?: AbortSignal,
): Promise<T | undefined> {
  signal?.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<undefined>();
  const timer = startTimer(() => resolve(undefined), ms);
  const onAbort = (): void => reject(signal?.reason as Error);
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    timer.stop();
    signal?.removeEventListener("abort", onAbort);
  }
}
