// SPDX-License-Identifier: Apache-2.0
import type { Level } from "../../doctor/finding.ts";
import type { CheckResult } from "../../doctor/run-checks.ts";
import { printableLine } from "../printable.ts";

/** Counts by level. */
export interface Summary {
  readonly checks: number;
  readonly errors: number;
  readonly warnings: number;
  readonly notes: number;
}

export function summaryOf(results: readonly CheckResult[]): Summary {
  const count = (level: Level): number =>
    results.flatMap(({ findings }) => findings).filter((one) => one.level === level).length;
  return {
    checks: results.length,
    errors: count("error"),
    warnings: count("warning"),
    notes: count("note"),
  };
}

/** A paragraph for each finding, the worst first, and a line of counts. Of what is well only with `all`. */
export function renderFindings(results: readonly CheckResult[], all: boolean): string {
  const order: readonly Level[] = ["error", "warning", "note", ...(all ? (["ok"] as const) : [])];
  const lines = order.flatMap((level) =>
    results.flatMap(({ check, findings }) =>
      findings
        .filter((one) => one.level === level)
        .flatMap(({ what, why, mend }) => [
          `${level.padEnd(7)}  ${check}: ${printableLine(what)}`,
          ...(why === "" ? [] : [`         why:  ${printableLine(why)}`]),
          ...(mend === "" ? [] : [`         mend: ${printableLine(mend)}`]),
        ]),
    ),
  );
  const { checks, errors, warnings, notes } = summaryOf(results);
  const counts = `${counted(checks, "check")}: ${counted(errors, "error")}, ${counted(warnings, "warning")}, ${counted(notes, "note")}`;
  return [...lines, ...(lines.length > 0 ? [""] : []), counts, ""].join("\n");
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
