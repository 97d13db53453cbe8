// SPDX-License-Identifier: Apache-2.0

/** What work comes to, or the signal's reason when that is first. The work goes on: its owner sees to it. */
export async function abandonable<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  work.catch(() => {}); // told to those who still wait
  signal.throwIfAborted();
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason as Error);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
