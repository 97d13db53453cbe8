// SPDX-License-Identifier: Apache-2.0
import { startTimer } from "./timers.ts";

/** Whether a promise settles, either way, in this time. Its rejection stays its owner's to look at. */
export async function settlesWithin(work: Promise<unknown>, ms: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const timer = startTimer(() => resolve(false), ms);
  const settled = (): void => resolve(true);
  work.then(settled, settled);
  try {
    return await promise;
  } finally {
    timer.stop();
  }
}
