// SPDX-License-Identifier: Apache-2.0
import type { ProtoTimestamp } from "../gen/wellknown.gen.ts";

/** Nanoseconds since the epoch; 0n for an absent time and for Go's zero time, which lies before it. */
export function nanosOf(timestamp: ProtoTimestamp | null): bigint {
  if (timestamp === null || timestamp.seconds < 0n) return 0n;
  return timestamp.seconds * 1_000_000_000n + BigInt(timestamp.nanos);
}

/** The message for nanoseconds since the epoch. */
export function timestampOf(nanos: bigint): ProtoTimestamp {
  return { seconds: nanos / 1_000_000_000n, nanos: Number(nanos % 1_000_000_000n) };
}
