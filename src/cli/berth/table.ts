// SPDX-License-Identifier: Apache-2.0
import { printableLine } from "../printable.ts";

export interface Column<T> {
  readonly title: string;
  readonly value: (row: T) => string;
}

/** Rows under upper-case titles, columns three blanks apart, no blank at a line's end. A cell keeps to its line. */
export function renderTable<T>(rows: readonly T[], columns: readonly Column<T>[]): string {
  const lines = [
    columns.map(({ title }) => title),
    ...rows.map((row) => columns.map(({ value }) => printableLine(value(row)))),
  ];
  const widths = columns.map((_, index) =>
    Math.max(...lines.map((line) => line[index]?.length ?? 0)),
  );
  return lines
    .map((line) =>
      line
        .map((cell, index) => cell.padEnd(widths[index] ?? 0))
        .join("   ")
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join("");
}

/** 5_400_000 → "1h30m": the two largest units, for people. */
export function age(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const [days, hours, minutes] = [86_400, 3600, 60].map((unit) => Math.floor(seconds / unit)) as [
    number,
    number,
    number,
  ];
  if (days > 0) return `${days}d${hours % 24}h`;
  if (hours > 0) return `${hours}h${minutes % 60}m`;
  return minutes > 0 ? `${minutes}m${seconds % 60}s` : `${seconds}s`;
}

/** The age of a moment given in nanoseconds since 1970; "-" when there is none. */
export function ageSince(nanoseconds: bigint, nowMs: number = Date.now()): string {
  return nanoseconds === 0n ? "-" : age(nowMs - Number(nanoseconds / 1_000_000n));
}

/** 1_500_000 → "1.4MiB". */
export function bytes(count: bigint | number): string {
  let value = Number(count);
  for (const unit of ["B", "KiB", "MiB", "GiB"]) {
    if (value < 1024)
      return `${unit === "B" || value >= 100 ? Math.round(value) : value.toFixed(1)}${unit}`;
    value /= 1024;
  }
  return `${value.toFixed(1)}TiB`;
}

/** The first 13 characters of an id or of a digest's hex, as crictl shows them. */
export function shortId(id: string): string {
  return id.replace(/^sha\d+:/, "").slice(0, 13);
}
