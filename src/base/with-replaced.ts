// SPDX-License-Identifier: Apache-2.0

/** A list with others behind it: each stands in place of those that have its key. */
export function withReplaced<T>(
  list: readonly T[],
  others: readonly T[],
  keyOf: (item: T) => string,
): T[] {
  const keys = new Set(others.map(keyOf));
  return [...list.filter((item) => !keys.has(keyOf(item))), ...others];
}
