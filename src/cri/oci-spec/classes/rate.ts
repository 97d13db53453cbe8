// SPDX-License-Identifier: Apache-2.0

const decimal = "kMGTPE";
const binary = "KMGTPE";
const largest = 2n ** 63n - 1n;

/**
 * A quantity as Kubernetes writes them: `100M` is a hundred million, `10Mi` ten times 2^20, `1.5k`
 * 1500. Undefined when it is none, is negative, is no whole number, or does not fit 63 bits.
 */
export function parseRate(text: string): bigint | undefined {
  const match = /^(\d{1,19})(?:\.(\d{1,18}))?(?:([KMGTPE])i|([kMGTPE]))?$/.exec(text.trim());
  if (match === null) return undefined;
  const [, whole = "", fraction = "", ki, k] = match;
  const factor =
    ki !== undefined
      ? 1024n ** BigInt(binary.indexOf(ki) + 1)
      : 1000n ** BigInt(k === undefined ? 0 : decimal.indexOf(k) + 1);
  const scale = 10n ** BigInt(fraction.length);
  const scaled = BigInt(`${whole}${fraction}`) * factor;
  if (scaled % scale !== 0n) return undefined;
  const value = scaled / scale;
  return value > largest ? undefined : value;
}
