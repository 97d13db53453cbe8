// SPDX-License-Identifier: Apache-2.0
import type { Logger } from "./logger.ts";
import { type OneTimer, startTimer } from "./timers.ts";

const firstMs = 5_000;

export interface SlowWork {
  readonly log: Logger;
  /** The text of the warning: what the work waits for at that moment. */
  readonly fields: () => Readonly<Record<string, unknown>>;
  readonly message: string;
  /** When the first warning comes. @default 5000 */
  readonly afterMs?: number;
}

/** Warns when work is not done after 5 s, and again each time it has taken twice as long, until disposed. */
export function logSlowWork({ log, fields, message, afterMs = firstMs }: SlowWork): Disposable {
  const since = performance.now();
  let timer: OneTimer;
  const wait = (ms: number): void => {
    timer = startTimer(() => {
      const seconds = Math.round((performance.now() - since) / 1000);
      log.warn({ ...fields(), seconds }, message);
      wait(2 * ms);
    }, ms).unref();
  };
  wait(afterMs);
  return { [Symbol.dispose]: () => timer.stop() };
}
