// SPDX-License-Identifier: Apache-2.0

/**
 * What `work` makes of each item, in the items' order; `most` are under way at a time. Fails as the first that
 * fails; those that are under way go on.
 */
export async function mapAtOnce<T, R>(
  items: readonly T[],
  most: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  const rest = items.entries(); // shared: whoever is free takes the next
  const lane = async (): Promise<void> => {
    for (const [at, item] of rest) results[at] = await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(most, items.length) }, lane));
  return results;
}
