// SPDX-License-Identifier: Apache-2.0

/** Whether one of the patterns is the name, "*" standing for any characters. */
export function isPinnedName(patterns: readonly string[], name: string): boolean {
  return patterns.some((pattern) => fits(pattern.split("*"), name));
}

/** Each piece where it is found first: no other way could fit more. */
function fits(pieces: readonly string[], name: string): boolean {
  const [first = "", ...others] = pieces;
  const last = others.pop();
  if (last === undefined) return name === first;
  if (!name.startsWith(first)) return false;
  let from = first.length;
  for (const piece of others) {
    const at = name.indexOf(piece, from);
    if (at < 0) return false;
    from = at + piece.length;
  }
  return name.length - last.length >= from && name.endsWith(last);
}
