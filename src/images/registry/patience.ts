// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../../base/cancellable.ts";
import { fault, RuntimeFault } from "../../base/errors.ts";
import { sleep } from "../../base/timers.ts";

/** How often a registry is asked for the same, and after which waits. */
export interface Patience {
  /** Attempts in all, the first included, unless there is progress between them. */
  readonly attempts: number;
  /** Wait before the second attempt, a half to all of it; it doubles each time, up to `maxDelayMs`. */
  readonly delayMs: number;
  readonly maxDelayMs: number;
  /** The longest wait that a server may ask for. One that asks for more is given up at once. */
  readonly longestWaitMs: number;
  /** All waits together. */
  readonly totalWaitMs: number;
}

/** For every request of a pull. The longest wait is containerd's. */
export const registryPatience: Patience = {
  attempts: 5,
  delayMs: 500,
  maxDelayMs: 8_000,
  longestWaitMs: 60_000,
  totalWaitMs: 120_000,
};

/** Statuses of a server that is busy or broken for now: others stay what they are. */
export function isPassingStatus(status: number): boolean {
  const isLasting = status === 501 || status === 505 || status === 511;
  return status === 408 || status === 425 || status === 429 || (status >= 500 && !isLasting);
}

/** Details of a fault that may be over at the next attempt, which is not to come before `retryAfterMs`. */
export function passing(retryAfterMs?: number): Readonly<Record<string, unknown>> {
  return { passing: true, ...(retryAfterMs !== undefined && { retryAfterMs }) };
}

/** Whether another attempt is worth it: the same request may succeed later. */
export function isPassing(error: unknown): error is RuntimeFault {
  return error instanceof RuntimeFault && error.details?.["passing"] === true;
}

/** How long the server wants to be left alone; 0 for one that does not say. */
export function retryAfterOf({ details }: RuntimeFault): number {
  const ms = details?.["retryAfterMs"];
  return typeof ms === "number" ? ms : 0;
}

/**
 * Repeats `work` while it fails for reasons that may pass by themselves, with waits between that grow and are never
 * shorter than the server has asked for. `work` may call `progress`, after which attempts count anew: for downloads
 * that go on where they were, and only where enough came that this ends. What is given up is thrown as it came, with
 * how often it was tried, and is not passing any more.
 */
export async function patiently<T>(
  work: (progress: () => void) => Promise<T>,
  { patience, signal }: { readonly patience: Patience } & Cancellable,
): Promise<T> {
  let failures = 0;
  let waitedMs = 0;
  const progress = (): void => {
    failures = 0;
    waitedMs = 0;
  };
  for (;;) {
    signal.throwIfAborted();
    let waitMs: number;
    try {
      return await work(progress);
    } catch (error) {
      if (signal.aborted || !isPassing(error)) throw error;
      failures += 1;
      waitMs = waitBefore(failures, retryAfterOf(error), patience);
      if (waitedMs + waitMs > patience.totalWaitMs || failures >= patience.attempts) {
        throw givenUp(error, failures, patience);
      }
    }
    waitedMs += waitMs;
    await sleep(waitMs, { signal });
  }
}

/** Infinity where the server asks for more than it gets. Those who were told the same time come back one by one. */
function waitBefore(failures: number, askedMs: number, patience: Patience): number {
  const { delayMs, maxDelayMs, longestWaitMs } = patience;
  if (askedMs > longestWaitMs) return Infinity;
  const fullMs = Math.min(delayMs * 2 ** (failures - 1), maxDelayMs);
  const ownMs = fullMs * (0.5 + Math.random() / 2);
  return askedMs > 0 ? askedMs + Math.min(ownMs, askedMs / 4) : ownMs;
}

function givenUp(error: RuntimeFault, failures: number, { longestWaitMs }: Patience): RuntimeFault {
  const { code, message, details } = error;
  const askedMs = retryAfterOf(error);
  const how = [
    ...(failures > 1 ? [`${failures} attempts`] : []),
    ...(askedMs > longestWaitMs ? [`it wants to be asked again in ${spoken(askedMs)}`] : []),
  ];
  const told = how.length > 0 ? `${message} (${how.join(", ")})` : message;
  return fault(code, told, { cause: error, details: { ...details, passing: false } });
}

function spoken(ms: number): string {
  const seconds = Math.ceil(ms / 1000);
  if (seconds < 600) return `${seconds} s`;
  const minutes = Math.ceil(seconds / 60);
  return minutes < 600 ? `${minutes} minutes` : "more than ten hours";
}
