// SPDX-License-Identifier: Apache-2.0

/** A part of what verbose Status tells; undefined when there is nothing to tell, or the daemon is not one of ours. */
export function readInfo<T>(json: string | undefined): T | undefined {
  try {
    return (JSON.parse(json ?? "null") as T | null) ?? undefined;
  } catch {
    return undefined;
  }
}
