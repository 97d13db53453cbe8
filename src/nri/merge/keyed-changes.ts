// SPDX-License-Identifier: Apache-2.0
import type { FieldClaims } from "./field-claims.ts";
import type { FieldName } from "./fields.ts";
import { bare, isRemoval } from "./removal-mark.ts";

/** What is set by key, the latest last; null for a key that is removed from what the container would have. */
export type KeyedChanges<T> = ReadonlyMap<string, T | null>;

/** One plugin's changes: all its removals come before what it sets, however it has ordered them. */
export interface AskedChanges<T> {
  readonly removals: ReadonlySet<string>;
  readonly sets: readonly (readonly [key: string, value: T])[];
}

/** A key with "-" before it is removed. */
export function askedChanges<T>(entries: Iterable<readonly [string, T]>): AskedChanges<T> {
  const removals = new Set<string>();
  const sets: (readonly [string, T])[] = [];
  for (const [key, value] of entries) {
    if (isRemoval(key)) removals.add(bare(key));
    else sets.push([key, value]);
  }
  return { removals, sets };
}

/** The changes of all plugins with those of one more. FAILED_PRECONDITION when another has set one of its keys. */
export function mergeChanges<T>(
  merged: KeyedChanges<T>,
  { removals, sets }: AskedChanges<T>,
  { plugin, field, claims }: { plugin: string; field: FieldName; claims: FieldClaims },
): KeyedChanges<T> {
  const all = new Map(merged);
  for (const key of removals) {
    claims.remove(plugin, field, key);
    all.delete(key);
    all.set(key, null);
  }
  for (const [key, value] of sets) {
    claims.claim(plugin, field, key);
    all.delete(key);
    all.set(key, value);
  }
  return all;
}

/** A list as it is with the changes: what they set comes last. */
export function changedList<T>(
  list: readonly T[],
  { removals, sets }: AskedChanges<T>,
  keyOf: (item: T) => string,
): T[] {
  const gone = new Set([...removals, ...sets.map(([key]) => key)]);
  return [...list.filter((item) => !gone.has(keyOf(item))), ...sets.map(([, value]) => value)];
}

/** Likewise of what is kept by key. */
export function changedRecord<T>(
  record: Readonly<Record<string, T>>,
  { removals, sets }: AskedChanges<T>,
): Record<string, T> {
  const kept = Object.entries(record).filter(([key]) => !removals.has(key));
  return Object.fromEntries([...kept, ...sets]);
}

/** As a list for the wire: a removal is what `removed` makes of its key, "-" included. */
export function listOfChanges<T>(changes: KeyedChanges<T>, removed: (key: string) => T): T[] {
  return [...changes].map(([key, value]) => value ?? removed(`-${key}`));
}

export function recordOfChanges<T>(changes: KeyedChanges<T>, removed: T): Record<string, T> {
  return Object.fromEntries(
    [...changes].map(([key, value]) =>
      value === null ? [`-${key}`, removed] : ([key, value] as const),
    ),
  );
}
