// SPDX-License-Identifier: Apache-2.0
import type { Census } from "./census.ts";
import { type Trend, trendOf } from "./trend.ts";

/** What was found at a moment without pods. */
export interface QuietPoint {
  /** Cycles and kills until then. */
  readonly cycles: number;
  readonly kills: number;
  readonly seconds: number;
  /** The daemon's process: another one after a kill. */
  readonly pid: number;
  readonly census: Census;
  readonly rss: number;
  readonly live: number;
}

export interface Verdict {
  readonly name: string;
  readonly first: number;
  readonly last: number;
  readonly most: number;
  readonly unit: "" | "MiB";
  /** What is wrong, a line each; none when it holds. */
  readonly faults: readonly string[];
}

const kib = 1024;
const mib = 1024 * kib;

/** What moves by itself: `isWithin` says how much. */
export const objectGroup = "timers and handles";
const fileGroup = "database files, KiB";

/** The kinds of a census, in the order of the table: how the names of each begin. */
const groups: readonly (readonly [name: string, begins: readonly string[]])[] = [
  ["descriptors", ["fds"]],
  ["threads", ["threads"]],
  [
    "children, zombies, shims",
    ["daemon's children", "daemon's zombies", "soak's", "left: shim", "shim", "runc"],
  ],
  ["processes of pods", ["left: process"]],
  ["mounts", ["daemon's mounts", "left: mount"]],
  ["network namespaces", ["files state/netns"]],
  ["cgroups", ["left: cgroup"]],
  ["links", ["left: link"]],
  ["iptables rules and chains", ["left: iptables", "iptables"]],
  ["addresses", ["left: address", "files cni/"]],
  ["database rows", ["rows", "damaged rows"]],
  [fileGroup, ["KiB"]],
  ["blobs and ingests", ["files root/content"]],
  ["snapshot folders", ["files root/snapshots"]],
  ["other files", ["files", "left:"]],
  [objectGroup, ["objects", "handles"]],
  ["metric series of pods", ["metric"]],
];

/** Where RSS and live memory count as growing, by cycle: see CONTRIBUTING.md. */
const memoryLimits = {
  rss: { slope: 5 * kib, growth: 16 * mib, margin: 64 * mib, leastSamples: 10 },
  live: { slope: 2 * kib, growth: 2 * mib, margin: 16 * mib, leastSamples: 4 },
};

/**
 * Timers and the like come and go by themselves; one that stays a cycle, or a kill, would be many more. Of a kind
 * that is forgotten there may be fewer.
 */
const objectSlack = 4;

/** The database's files keep the pages of the moment with the most rows; rows that stay are counted as such. */
const fileSlackKib = 512;

/** Names whose count is not the first one's, with both. */
export function differences(first: Census, now: Census): Map<string, readonly [number, number]> {
  const found = new Map<string, readonly [number, number]>();
  for (const name of new Set([...first.keys(), ...now.keys()])) {
    const [was, is] = [first.get(name) ?? 0, now.get(name) ?? 0];
    if (!isWithin(name, is - was)) found.set(name, [was, is]);
  }
  return found;
}

function isWithin(name: string, more: number): boolean {
  const group = groupOf(name);
  if (group === fileGroup) return Math.abs(more) <= fileSlackKib;
  return group === objectGroup ? more <= objectSlack : more === 0;
}

export function groupOf(name: string): string {
  const group = groups.find(([, begins]) => begins.some((begin) => name.startsWith(begin)));
  return group?.[0] ?? "other files";
}

/** One verdict a kind of thing: each of its counts must be at every point what it was at the first. */
export function verdicts(points: readonly QuietPoint[]): Verdict[] {
  const [first] = points;
  if (!first) return [];
  const faults = new Map<string, string[]>();
  const bad = new Map<string, string>();
  for (const point of points) {
    for (const [name, [was, is]] of differences(first.census, point.census)) {
      bad.set(name, `${name}: ${was}, then ${is} after ${whenOf(point)}`);
    }
  }
  for (const [name, words] of bad) {
    const group = groupOf(name);
    faults.set(group, [...(faults.get(group) ?? []), words]);
  }
  const exact = groups.map(([name]): Verdict => {
    const sums = points.map(({ census }) => sumOf(census, name));
    return verdict(name, sums, "", faults.get(name) ?? []);
  });
  return [
    ...exact,
    memoryVerdict("RSS", points, "rss"),
    memoryVerdict("live memory", points, "live"),
  ];
}

function memoryVerdict(name: string, points: readonly QuietPoint[], key: "rss" | "live"): Verdict {
  const values = points.map((point) => point[key]);
  const { margin, ...limits } = memoryLimits[key];
  const [first = 0] = values;
  const most = Math.max(...values);
  const faults: string[] = [];
  if (most > first + margin) {
    faults.push(
      `${inMib(most)} MiB are more than ${inMib(margin)} above the first ${inMib(first)}`,
    );
  }
  const trend = memoryTrend(points, key);
  if (trend?.isGrowing) {
    const slope = (trend.slope / kib).toFixed(1);
    faults.push(
      `grows by ${slope} KiB a cycle, ${inMib(trend.growth)} MiB over the last 80 % (limits: ${limits.slope / kib} KiB, ${inMib(limits.growth)} MiB)`,
    );
  }
  return verdict(
    name,
    values.map((value) => value / mib),
    "MiB",
    faults,
  );
}

/** Of the daemon that lived longest: what another one has begins anew. */
export function memoryTrend(points: readonly QuietPoint[], key: "rss" | "live"): Trend | undefined {
  const lives = Object.values(Object.groupBy(points, ({ pid }) => pid));
  const longest = lives.toSorted((a, b) => (b?.length ?? 0) - (a?.length ?? 0))[0] ?? [];
  const samples = longest.map((point) => ({ at: point.cycles, value: point[key] }));
  return trendOf(samples, memoryLimits[key]);
}

function verdict(
  name: string,
  values: readonly number[],
  unit: Verdict["unit"],
  faults: readonly string[],
): Verdict {
  const most = Math.max(...values);
  return { name, first: values[0] ?? 0, last: values.at(-1) ?? 0, most, unit, faults };
}

function sumOf(census: Census, group: string): number {
  let sum = 0;
  for (const [name, count] of census) if (groupOf(name) === group) sum += count;
  return sum;
}

function whenOf({ cycles, kills }: QuietPoint): string {
  return `${cycles} cycles${kills > 0 ? ` and ${kills} kills` : ""}`;
}

function inMib(bytes: number): string {
  return (bytes / mib).toFixed(1);
}
