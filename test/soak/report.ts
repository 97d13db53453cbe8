// SPDX-License-Identifier: Apache-2.0
import { memoryTrend, verdicts } from "./growth.ts";
import { type Promised, promises } from "./ledger.ts";
import type { SoakOptions } from "./options.ts";
import type { SoakFindings } from "./soak.ts";

export interface Result {
  readonly name: string;
  readonly outcome: "passed" | "failed" | "skipped";
  readonly figures: string;
  /** What is wrong, or why it was skipped. */
  readonly words: readonly string[];
}

/** Each promise, each kind of thing that must not grow, and the end. */
export function resultsOf(found: SoakFindings): Result[] {
  const { ledger, points } = found;
  const kept = (Object.keys(promises) as Promised[]).map((promised): Result => {
    const checks = ledger.checks.get(promised) ?? 0;
    const broken = ledger.broken.get(promised);
    if (checks === 0 && !broken && promised !== "calls") {
      return {
        name: promises[promised],
        outcome: "skipped",
        figures: "",
        words: ["never checked"],
      };
    }
    const figures = promised === "calls" ? "" : `${checks} checks`;
    return result(
      promises[promised],
      broken?.words ?? [],
      broken ? `${figures} ${broken.count} broken` : figures,
    );
  });
  const grown = verdicts(points).map(({ name, first, last, most, unit, faults }): Result => {
    const show = (value: number): string => (unit === "" ? String(value) : value.toFixed(1));
    const figures = `${show(first)} at first, ${show(last)} at last, ${show(most)} at most ${unit}`;
    return result(`no growth: ${name}`, faults, figures.trim());
  });
  const end = found.ending ? [found.ending] : [];
  const userNamespaces: Result = found.noUserNamespaces
    ? { name: "user namespaces", outcome: "skipped", figures: "", words: [found.noUserNamespaces] }
    : result("user namespaces", [], `${found.cycles.get("user namespace") ?? 0} cycles`);
  return [
    ...kept,
    ...grown,
    result("nothing is left after the daemon's end", end, ""),
    userNamespaces,
  ];
}

function result(name: string, words: readonly string[], figures: string): Result {
  return { name, outcome: words.length === 0 ? "passed" : "failed", figures, words };
}

export function textReport(found: SoakFindings, results: readonly Result[]): string {
  const kinds = [...found.cycles].map(([kind, count]) => `${count} ${kind}`).join(", ");
  const total = [...found.cycles.values()].reduce((sum, count) => sum + count, 0);
  const width = Math.max(...results.map(({ name }) => name.length));
  const verdictOf = { passed: "ok  ", failed: "FAIL", skipped: "skip" };
  const lines = results.flatMap(({ name, outcome, figures, words }) => [
    `${verdictOf[outcome]} ${name.padEnd(width)}  ${figures}`.trimEnd(),
    ...words.map((line) => `       ${line.replaceAll("\n", "\n       ")}`),
  ]);
  const trend = memoryTrend(found.points, "rss");
  return [
    "",
    `${total} cycles, the warm-up's and the quiet points' among them: ${kinds}`,
    `${found.kills} kills, ${found.killsInStart} of them while the daemon started; ${found.points.length} quiet points; ${found.seconds.toFixed(0)} s`,
    ...(trend ? [`RSS: ${(trend.slope / 1024).toFixed(2)} KiB a cycle`] : []),
    "",
    ...lines,
    "",
  ].join("\n");
}

export function lastLine(results: readonly Result[]): string {
  const count = (wanted: Result["outcome"]): number =>
    results.filter(({ outcome }) => outcome === wanted).length;
  return `${count("passed")} passed, ${count("failed")} failed, ${count("skipped")} skipped`;
}

export function jsonReport(
  options: SoakOptions,
  found: SoakFindings,
  results: readonly Result[],
): string {
  const { points, cycles, kills, killsInStart, seconds, ledger } = found;
  return JSON.stringify(
    {
      options,
      cycles: Object.fromEntries(cycles),
      kills,
      killsInStart,
      seconds,
      ids: ledger.ids.size,
      trends: { rss: memoryTrend(points, "rss"), live: memoryTrend(points, "live") },
      results,
      points: points.map((point) => ({ ...point, census: Object.fromEntries(point.census) })),
    },
    undefined,
    1,
  );
}
