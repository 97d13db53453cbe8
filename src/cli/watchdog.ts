// SPDX-License-Identifier: Apache-2.0
import { startInterval } from "../base/timers.ts";

/** What systemd sets for a unit with WatchdogSec= (sd_watchdog_enabled(3)). */
export interface WatchdogEnvironment {
  /** Microseconds after which a silent service is killed and started anew. */
  readonly WATCHDOG_USEC?: string | undefined;
  /** Whose silence is meant; the service's own when left out. */
  readonly WATCHDOG_PID?: string | undefined;
}

/** How often the watchdog is to be told that the daemon lives, in milliseconds; undefined without one. */
export function watchdogMs(
  { WATCHDOG_USEC = "", WATCHDOG_PID = "" }: WatchdogEnvironment,
  pid = process.pid,
): number | undefined {
  if (!/^[1-9]\d{0,18}$/.test(WATCHDOG_USEC)) return undefined;
  if (WATCHDOG_PID !== "" && WATCHDOG_PID !== String(pid)) return undefined;
  // Twice in the time, as systemd advises, and once more for a node that is busy.
  return Math.max(1, Math.floor(Number(WATCHDOG_USEC) / 3000));
}

/**
 * Tells the service manager again and again that the main thread has its turns; one that hangs tells nothing, and systemd
 * starts the daemon anew, under its pods. Without WatchdogSec= in the unit it does nothing.
 */
export function startWatchdog(
  env: WatchdogEnvironment,
  notify: (state: string) => void,
): Disposable {
  const everyMs = watchdogMs(env);
  if (everyMs === undefined) return { [Symbol.dispose]: () => {} };
  const tell = (): void => notify("WATCHDOG=1");
  tell();
  return startInterval(tell, everyMs).unref();
}
