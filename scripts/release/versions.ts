// SPDX-License-Identifier: Apache-2.0

/** Whether a text is a version as Berth has them: three numbers. */
export function isVersion(text: string): boolean {
  return /^(0|[1-9]\d{0,5})(\.(0|[1-9]\d{0,5})){2}$/.test(text);
}

/** Below zero where `a` is the older one. */
export function compareVersions(a: string, b: string): number {
  const others = b.split(".").map(Number);
  const differences = a.split(".").map((number, index) => Number(number) - (others[index] ?? 0));
  return differences.find((difference) => difference !== 0) ?? 0;
}
