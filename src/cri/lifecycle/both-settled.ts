// SPDX-License-Identifier: Apache-2.0

/**
 * Runs two pieces of work side by side and waits for both to settle, also when one fails: what they
 * made must be known before it is undone. Throws the failure that came first. `onFailure` fires at
 * once, so that work that can be cut short is.
 */
export async function bothSettled<A, B>(
  first: () => Promise<A>,
  second: () => Promise<B>,
  onFailure: (error: unknown) => void = () => {},
): Promise<[A, B]> {
  const failures: unknown[] = [];
  const guarded = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      failures.push(error);
      if (failures.length === 1) onFailure(error);
      throw error;
    }
  };
  const [a, b] = await Promise.allSettled([guarded(first), guarded(second)]);
  if (a.status === "fulfilled" && b.status === "fulfilled") return [a.value, b.value];
  throw failures[0];
}
