// SPDX-License-Identifier: Apache-2.0

/** How many are read at a time for a stream: enough to keep the disk busy, few enough to begin soon. */
const batchSize = 64;

/**
 * How many answers with all stats are made at a time: each holds the files and figures of all pods meanwhile,
 * and many callers would hold as many of them.
 */
export const statsListsAtOnce = 2;

/** How many containers or pods are read at a time for one answer: Node reads four files at a time. */
export const readsAtOnce = 16;

/** Cuts a list into pieces of a fixed size. */
export function* batchesOf<T>(items: readonly T[]): Generator<readonly T[], void, undefined> {
  for (let at = 0; at < items.length; at += batchSize) yield items.slice(at, at + batchSize);
}
