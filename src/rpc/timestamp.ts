// SPDX-License-Identifier: Apache-2.0
import type { ProtoTimestamp, ProtoTimestampInit } from "../gen/wellknown.gen.ts";

const perSecond = 1_000_000_000n;

/** Nanoseconds since the epoch as a protobuf Timestamp; null for 0n, which stands for "not yet". */
export function timestampOf(nanos: bigint): ProtoTimestamp | null {
  if (nanos === 0n) return null;
  const rest = ((nanos % perSecond) + perSecond) % perSecond; // before 1970 nanos still count upwards
  return { seconds: (nanos - rest) / perSecond, nanos: Number(rest) };
}

/**
 * Nanoseconds since the epoch of a Timestamp; 0n for null, and for Go's zero time (year 1), which
 * Go programs send for "not yet".
 */
export function nanosOf(timestamp: ProtoTimestampInit | null | undefined): bigint {
  if (!timestamp) return 0n;
  const seconds = BigInt(timestamp.seconds ?? 0);
  if (seconds === -62_135_596_800n) return 0n;
  return seconds * perSecond + BigInt(timestamp.nanos ?? 0);
}
