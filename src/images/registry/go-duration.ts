// SPDX-License-Identifier: Apache-2.0

const unitMs: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  "\u00b5s": 1e-3,
  "\u03bcs": 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};
/** Go counts in nanoseconds of 64 bits. */
const longestMs = 2 ** 63 / 1e6;

/**
 * Milliseconds of a duration as Go's time.ParseDuration reads it ("1.5h", ".5s", "2m30s", "100us", "0"), rounded up;
 * undefined for what it refuses, and for less than nothing.
 */
export function parseGoDuration(text: string): number | undefined {
  const unsigned = text.replace(/^[+-]/, "");
  if (unsigned === "0") return 0;
  const part = /(\d+\.?\d*|\.\d+)(ns|us|\u00b5s|\u03bcs|ms|s|m|h)/y;
  let total = 0;
  do {
    const [whole, count = "", unit = ""] = part.exec(unsigned) ?? [];
    if (whole === undefined) return undefined;
    total += Number(count) * (unitMs[unit] ?? Number.NaN);
  } while (part.lastIndex < unsigned.length);
  if (total >= longestMs || (total > 0 && text.startsWith("-"))) return undefined;
  return Math.ceil(total);
}
