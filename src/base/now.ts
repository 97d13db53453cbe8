// SPDX-License-Identifier: Apache-2.0
import { libc } from "./os/libc.ts";

const clockRealtime = 0;
const clockGettime = libc("int clock_gettime(int clock, void *time)");
/** struct timespec: seconds and nanoseconds, 8 bytes each on every 64-bit machine. */
const time = new BigInt64Array(2);

/**
 * The wall clock in nanoseconds since 1970. Not made from `Date.now()`: to a client that compares our times with its
 * own, those within one millisecond would be in any order. A test keeps other code from doing that.
 */
export function nowNanos(): bigint {
  if (clockGettime(clockRealtime, time) !== 0) return BigInt(Date.now()) * 1_000_000n;
  const [seconds = 0n, nanoseconds = 0n] = time;
  return seconds * 1_000_000_000n + nanoseconds;
}
