// SPDX-License-Identifier: Apache-2.0
import { table } from "../table.ts";
import type { Started } from "./lineage.ts";
import { type StartedPrograms, type TracedCall, tracedCalls } from "./programs.ts";

/** Means over the pods, by the name of the program; `processes` and `threads` stand beside them. */
export type MeanStarted = Readonly<
  Record<
    TracedCall,
    {
      readonly programs: Readonly<Record<string, number>>;
      readonly processes: number;
      readonly threads: number;
    }
  >
>;

export function meanStarted(started: StartedPrograms): MeanStarted {
  return Object.fromEntries(
    tracedCalls.map((call) => {
      const pods = started[call];
      const mean = (of: (one: Started) => number): number =>
        pods.reduce((sum, one) => sum + of(one), 0) / Math.max(1, pods.length);
      const names = new Set(pods.flatMap(({ programs }) => [...programs.keys()]));
      const programs = Object.fromEntries(
        [...names].map((name) => [name, mean((one) => one.programs.get(name) ?? 0)]),
      );
      return [
        call,
        {
          programs,
          processes: mean(({ processes }) => processes),
          threads: mean(({ threads }) => threads),
        },
      ];
    }),
  ) as unknown as MeanStarted;
}

/** The programs that one runtime starts, a row a program and a column a call; the most started first. */
export function programsTable(name: string, means: MeanStarted): string {
  const names = new Set(tracedCalls.flatMap((call) => Object.keys(means[call].programs)));
  const rows = [...names]
    .map((program) => row(program, (call) => means[call].programs[program] ?? 0))
    .toSorted((a, b) => b.sum - a.sum || a.label.localeCompare(b.label));
  const sums = [
    row("all programs", (call) =>
      Object.values(means[call].programs).reduce((sum, count) => sum + count, 0),
    ),
    row("processes", (call) => means[call].processes),
    row("threads", (call) => means[call].threads),
  ];
  return table([
    [`programs started by ${name}`, ...tracedCalls, "a pod"],
    ...[...rows, ...sums].map(({ label, counts, sum }) => [
      label,
      ...counts.map(shown),
      shown(sum),
    ]),
  ]);
}

function row(
  label: string,
  count: (call: TracedCall) => number,
): { readonly label: string; readonly counts: readonly number[]; readonly sum: number } {
  const counts = tracedCalls.map(count);
  return { label, counts, sum: counts.reduce((sum, one) => sum + one, 0) };
}

function shown(count: number): string {
  if (count === 0) return "";
  return Number.isInteger(count) ? String(count) : count.toFixed(1);
}
