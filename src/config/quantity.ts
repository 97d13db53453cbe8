// SPDX-License-Identifier: Apache-2.0

const durationUnits: readonly (readonly [string, number])[] = [
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1000],
  ["ms", 1],
];
const sizeUnits: readonly (readonly [string, number])[] = [
  ["GiB", 1024 ** 3],
  ["MiB", 1024 ** 2],
  ["KiB", 1024],
];

/** Milliseconds of "2s", "500ms", "1m30s", "1.5h", or undefined when the text is no duration of whole milliseconds. */
export function parseDuration(text: string): number | undefined {
  if (text === "0") return 0;
  const part = /(\d+(?:\.\d+)?)(ms|h|m|s)/y;
  let total = 0;
  while (part.lastIndex < text.length) {
    const match = part.exec(text);
    if (!match) return undefined;
    total +=
      Number(match[1]) * (durationUnits.find(([unit]) => unit === match[2])?.[1] ?? Number.NaN);
  }
  const rounded = Math.round(total);
  // 0 means something else than very little.
  if (text === "" || (rounded === 0 && total > 0)) return undefined;
  return Number.isSafeInteger(rounded) ? rounded : undefined;
}

/** The shortest text that parses back to the same milliseconds: 90000 → "1m30s". */
export function formatDuration(milliseconds: number): string {
  if (milliseconds === 0) return "0s";
  let rest = milliseconds;
  let text = "";
  for (const [unit, size] of durationUnits) {
    const count = Math.floor(rest / size);
    if (count > 0) text += `${count}${unit}`;
    rest -= count * size;
  }
  return text;
}

/** Bytes of "16KiB", "4MiB", "1GiB" or plain digits, or undefined when the text is no size. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d+)(KiB|MiB|GiB)?$/.exec(text);
  if (!match) return undefined;
  const factor = sizeUnits.find(([unit]) => unit === match[2])?.[1] ?? 1;
  const bytes = Number(match[1]) * factor;
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** 16777216 → "16MiB"; a count that no unit divides stays a number. */
export function formatSize(bytes: number): string | number {
  const fitting = sizeUnits.find(([, size]) => bytes >= size && bytes % size === 0);
  return fitting ? `${bytes / fitting[1]}${fitting[0]}` : bytes;
}
