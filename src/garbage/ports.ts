// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import type { Resource } from "../metadata/leases.ts";

/**
 * Removes what no lease, image or container of a namespace leads to. What is held by a lease stays;
 * what is just being brought in is guarded by `hold`.
 */
export interface GarbageCollector {
  /**
   * Keeps collections of the namespace off while something is made, found present, or referred to.
   * Waits for a collection that runs. Any number may hold at a time.
   */
  hold(namespace: string, call: Cancellable): Promise<Disposable>;
  /**
   * Collects now. False when a call held it off until the signal fired or `patienceMs` had
   * passed (default 0); it is tried again later then.
   */
  collect(
    namespace: string,
    options: { readonly patienceMs?: number } & Cancellable,
  ): Promise<boolean>;
  /** Collects soon; several requests in a row make one collection. */
  schedule(namespace: string): void;
  /** Collects every namespace that has blobs, somewhat later: call it once at start. */
  scheduleAll(): void;
  /** Further roots, read from memory at each collection. */
  addRoots(namespace: string, roots: () => Iterable<Resource>): void;
}
