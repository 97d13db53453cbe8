// SPDX-License-Identifier: Apache-2.0

/** The wall clock in nanoseconds since 1970, with the millisecond precision that Node has. */
export function nowNanos(): bigint {
  return BigInt(Date.now()) * 1_000_000n;
}
