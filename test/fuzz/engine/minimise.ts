// SPDX-License-Identifier: Apache-2.0

/**
 * A shorter input that still fails: cuts out ever smaller pieces, until none can go, or until `budgetMs` is over.
 * `fails` is asked of each.
 */
export async function minimise(
  input: Buffer,
  fails: (candidate: Buffer) => Promise<boolean>,
  budgetMs: number,
): Promise<Buffer> {
  const until = performance.now() + budgetMs;
  let best = input;
  for (let piece = Math.ceil(best.length / 2); piece >= 1; piece = Math.floor(piece / 2)) {
    for (let at = 0; at < best.length; ) {
      if (performance.now() > until) return best;
      const candidate = Buffer.concat([best.subarray(0, at), best.subarray(at + piece)]);
      if (await fails(candidate)) best = candidate;
      else at += piece;
    }
  }
  return best;
}
