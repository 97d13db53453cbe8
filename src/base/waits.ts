// SPDX-License-Identifier: Apache-2.0
import type { EventEmitter } from "node:events";
import { onAbort } from "./on-abort.ts";
import { startTimer } from "./timers.ts";

/*
 * Waits for work of others. The work goes on when a wait ends: its owner looks after it. A signal that has fired
 * already comes first, even before work that is done. No wait leaves a listener or a timer behind, nor a rejection
 * that nobody handles.
 */

/** What the work comes to. Rejects with the signal's reason when that fires first. */
export async function unlessAborted<T>(
  work: Promise<T>,
  signal: AbortSignal | undefined,
): Promise<T> {
  if (signal === undefined) return work;
  work.catch(() => {}); // those who still wait get the error
  signal.throwIfAborted();
  const { promise, reject } = Promise.withResolvers<never>();
  using _reaction = onAbort(signal, reject);
  return await Promise.race([work, promise]);
}

/** What the work comes to, or undefined when the signal fires first. */
export async function untilAborted<T>(
  work: Promise<T>,
  signal: AbortSignal,
): Promise<T | undefined> {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  using _reaction = onAbort(signal, () => resolve(undefined));
  return await Promise.race([promise, work]);
}

/** Settles when the signal fires. */
export async function aborted(signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  using _reaction = onAbort(signal, () => resolve());
  await promise;
}

/** What the work comes to, or undefined once `ms` are over. Rejects with the signal's reason. */
export async function within<T>(
  work: Promise<T>,
  ms: number,
  signal?: AbortSignal,
): Promise<T | undefined> {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  using _timer = startTimer(() => resolve(undefined), ms);
  return await unlessAborted(Promise.race([work, promise]), signal);
}

/**
 * Whether the work settles, either way, in this time. A rejection is for the work's owner to handle. Rejects with the
 * signal's reason.
 */
export async function settlesWithin(
  work: Promise<unknown>,
  ms: number,
  signal?: AbortSignal,
): Promise<boolean> {
  const settled = work.then(
    () => true,
    () => true,
  );
  return (await within(settled, ms, signal)) ?? false;
}

/**
 * What each of these comes to. Rejects with the failure of the first that failed, but only once all have settled: what
 * the others have made can be undone then.
 */
export async function allSettled<T extends readonly unknown[]>(
  work: readonly [...T],
): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  await Promise.allSettled(work);
  return Promise.all(work);
}

/** Settles at the next of these events. Rejects with the signal's reason when that is first. */
export async function nextEvent(
  emitter: EventEmitter,
  events: readonly string[],
  signal?: AbortSignal,
): Promise<void> {
  signal?.throwIfAborted();
  const { promise, resolve } = Promise.withResolvers<void>();
  const onEvent = (): void => resolve();
  for (const event of events) emitter.once(event, onEvent);
  try {
    await unlessAborted(promise, signal);
  } finally {
    for (const event of events) emitter.off(event, onEvent);
  }
}
