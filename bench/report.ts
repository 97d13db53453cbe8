// SPDX-License-Identifier: Apache-2.0
import type { Footprint } from "./footprint.ts";
import { type Machine, machineLine } from "./machine.ts";
import { operations, type Timings } from "./pod-cycle.ts";
import { type MeanStarted, programsTable } from "./programs/programs-report.ts";
import { table } from "./table.ts";

export interface Result {
  readonly name: string;
  readonly timings: Timings;
  readonly footprint: Footprint | undefined;
  readonly programs: MeanStarted | undefined;
}

/** The table for people. Ratios are the first one's, Berth's, over each other's: below 1 is better. */
export function textReport(machine: Machine, results: readonly Result[]): string {
  const [, ...peers] = results;
  const rows: string[][] = [
    [
      "ms",
      ...results.flatMap(({ name }) => [`${name} p50`, "p95"]),
      ...peers.flatMap(({ name }) => [`/ ${name} p50`, "p95"]),
    ],
  ];
  for (const operation of operations) {
    const quantiles = results.map(({ timings }) => [
      timings[operation].quantile(0.5),
      timings[operation].quantile(0.95),
    ]);
    rows.push([
      operation,
      ...quantiles.flat().map((value) => value.toFixed(1)),
      ...peers.flatMap((_, peer) =>
        [0, 1].map((which) => ratio(quantiles[0]?.[which], quantiles[peer + 1]?.[which])),
      ),
    ]);
  }
  const lines = [machineLine(machine), "", table(rows)];
  if (results.every(({ footprint }) => footprint !== undefined)) {
    lines.push("", table(footprintRows(results)));
  }
  for (const { name, programs } of results) {
    if (programs !== undefined) lines.push("", programsTable(name, programs));
  }
  return lines.join("\n");
}

function footprintRows(results: readonly Result[]): string[][] {
  const names: readonly (readonly [keyof Footprint, string])[] = [
    ["daemonRssBefore", "daemon RSS before, MiB"],
    ["daemonRss", "daemon RSS, MiB"],
    ["daemonPss", "daemon PSS, MiB"],
    ["daemonAnonymous", "daemon anonymous, MiB"],
    ["shims", "shims"],
    ["shimThreads", "shim threads"],
    ["shimsRss", "shims RSS, MiB"],
    ["shimsPss", "shims PSS, MiB"],
    ["idleCpu", "idle CPU, ms a second"],
  ];
  const pods = results[0]?.footprint?.pods ?? 0;
  return [
    [`with ${pods} idle pods`, ...heads(results.map(({ name }) => name))],
    ...names.map(([key, label]) => {
      const values = results.map(({ footprint }) => footprint?.[key] ?? Number.NaN);
      return [label, ...values.map((value) => value.toFixed(1)), ...ratios(values)];
    }),
  ];
}

/** One figure a runtime in each row, and the ratios of the first to the others. */
export function comparison(
  title: string,
  names: readonly string[],
  rows: readonly (readonly [label: string, ...values: number[]])[],
): string {
  return table([
    [title, ...heads(names)],
    ...rows.map(([label, ...values]) => [label, ...values.map(shown), ...ratios(values)]),
  ]);
}

function shown(value: number): string {
  return Number.isNaN(value) ? "-" : value.toFixed(value < 10 ? 2 : 1);
}

/** The same as data, for comparing runs. */
export function jsonReport(machine: Machine, results: readonly Result[]): string {
  const runtimes = results.map(({ name, timings, footprint, programs }) => ({
    name,
    operations: Object.fromEntries(
      operations.map((operation) => [
        operation,
        {
          samples: timings[operation].count,
          p50: timings[operation].quantile(0.5),
          p95: timings[operation].quantile(0.95),
        },
      ]),
    ),
    footprint,
    programs,
  }));
  return JSON.stringify({ machine, runtimes }, undefined, 2);
}

function heads(names: readonly string[]): string[] {
  return [...names, ...names.slice(1).map((name) => `/ ${name}`)];
}

function ratios([ours, ...others]: readonly number[]): string[] {
  return others.map((theirs) => ratio(ours, theirs));
}

function ratio(ours: number | undefined, theirs: number | undefined): string {
  if (ours === undefined || theirs === undefined || theirs === 0) return "";
  if (Number.isNaN(ours / theirs)) return "";
  return (ours / theirs).toFixed(2);
}
