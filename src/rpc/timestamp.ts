// SPDX-License-Identifier: Apache-2.0
import { nanosPerSecond, splitNanos } from "../base/nanos.ts";
import type { ProtoTimestamp, ProtoTimestampInit } from "../gen/wellknown.gen.ts";

/** Go's zero time, the first second of the year 1: what Go programs send for "no time". */
const goZeroSeconds = -62_135_596_800n;

/** Whether a time is set: neither null nor Go's zero time. 0 seconds, the first moment of 1970, is a time. */
export function isTime(timestamp: ProtoTimestampInit | null | undefined): boolean {
  return !!timestamp && BigInt(timestamp.seconds ?? 0) !== goZeroSeconds;
}

/** Nanoseconds since 1970 of a Timestamp, negative before that; 0n when no time is set. */
export function nanosOf(timestamp: ProtoTimestampInit | null | undefined): bigint {
  if (!timestamp || !isTime(timestamp)) return 0n;
  return BigInt(timestamp.seconds ?? 0) * nanosPerSecond + BigInt(timestamp.nanos ?? 0);
}

/** Nanoseconds since 1970 as a Timestamp, whose nanos are never negative, as protobuf has it. */
export function exactTimestampOf(nanos: bigint): ProtoTimestamp {
  return splitNanos(nanos);
}

/** As `exactTimestampOf`, for what may not have come yet: null for 0n. */
export function timestampOf(nanos: bigint): ProtoTimestamp | null {
  return nanos === 0n ? null : exactTimestampOf(nanos);
}
