// SPDX-License-Identifier: Apache-2.0

/**
 * True where nothing but one run of lines is missing: what a daemon that was killed had read of the log and not yet
 * written. See "The way of a log line" in docs/architecture.md.
 */
export function lacksOneRun(is: readonly string[], should: readonly string[]): boolean {
  const missing = should.length - is.length;
  if (missing <= 0) return false;
  const differs = is.findIndex((line, index) => line !== should[index]);
  const at = differs === -1 ? is.length : differs;
  return is.slice(at).every((line, index) => line === should[at + missing + index]);
}

/**
 * How many such runs `kills` may cost. Where containers write at every kill and four lanes share two processors, as
 * here, 2 were lost in 41 kills.
 */
export function mostLostRuns(kills: number): number {
  return kills === 0 ? 0 : 2 + Math.ceil(kills / 20);
}
