// SPDX-License-Identifier: Apache-2.0

import type { Cancellable } from "./cancellable.ts";
import { fault, type RuntimeFault } from "./errors.ts";
import { onAbort } from "./on-abort.ts";
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
  const reactions = signals.map((signal) => onAbort(signal, (why) => abort.abort(why)));
  return {
    signal: abort.signal,
    [Symbol.dispose]: () => {
      timer.stop();
      for (const reaction of reactions) reaction[Symbol.dispose]();
    },
  };
}
