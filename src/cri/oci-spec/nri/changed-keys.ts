// SPDX-License-Identifier: Apache-2.0

/** A record after changes: `-KEY` takes a key away, every other sets one. */
export function changedKeys<V>(
  before: Readonly<Record<string, V>> | undefined,
  changes: Readonly<Record<string, V>>,
): Record<string, V> {
  const after = new Map(Object.entries(before ?? {}));
  for (const key of Object.keys(changes)) if (key.startsWith("-")) after.delete(key.slice(1));
  for (const [key, value] of Object.entries(changes)) {
    if (!key.startsWith("-")) after.set(key, value);
  }
  return Object.fromEntries(after);
}
