// SPDX-License-Identifier: Apache-2.0

/** A part of verbose Status; undefined when it is empty, or the daemon is not a berthd. */
export function readInfo<T>(json: string | undefined): T | undefined {
  try {
    return (JSON.parse(json ?? "null") as T | null) ?? undefined;
  } catch {
    return undefined;
  }
}
