// SPDX-License-Identifier: Apache-2.0
import { KeyedMutex } from "../base/keyed-mutex.ts";
import type { MetadataStore } from "../metadata/ports.ts";

const locksOf = new WeakMap<MetadataStore, KeyedMutex>();

/**
 * The locks of a store's image names, by `nameKey`. Whoever changes a name takes its lock first: what is decided by a
 * record must still be so when it is written, or a name that somebody removes meanwhile would come back. Who takes
 * several takes them in the order of their keys.
 */
export function nameLocks(store: MetadataStore): KeyedMutex {
  const locks = locksOf.get(store) ?? new KeyedMutex();
  locksOf.set(store, locks);
  return locks;
}

export function nameKey(namespace: string, name: string): string {
  return `${namespace}/${name}`;
}
