// SPDX-License-Identifier: Apache-2.0

/** Longer than any name that is looked for. */
const maxLetters = 64;

/** The name that the writer of a wrong one probably meant. Undefined when none is near. */
export function nearestName(wrong: string, names: readonly string[]): string | undefined {
  if (wrong.length > maxLetters) return undefined;
  return names
    .map((name) => ({ name, distance: editDistance(wrong.toLowerCase(), name) }))
    .filter(({ name, distance }) => distance <= Math.max(1, Math.floor(name.length / 3)))
    .toSorted((a, b) => a.distance - b.distance)[0]?.name;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
