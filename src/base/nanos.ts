// SPDX-License-Identifier: Apache-2.0

export const nanosPerSecond = 1_000_000_000n;

/**
 * Nanoseconds since 1970 as whole seconds and the nanoseconds after them, of which there are 0 to 999,999,999 before
 * 1970 too: -1n is a nanosecond before midnight, so { seconds: -1n, nanos: 999_999_999 }. Timestamps of protobuf, struct
 * timespec and archives all count this way.
 */
export function splitNanos(time: bigint): { readonly seconds: bigint; readonly nanos: number } {
  const nanos = ((time % nanosPerSecond) + nanosPerSecond) % nanosPerSecond;
  return { seconds: (time - nanos) / nanosPerSecond, nanos: Number(nanos) };
}
