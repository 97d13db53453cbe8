// SPDX-License-Identifier: Apache-2.0
import { printableLine } from "../../printable.ts";
import { bytes, shortId } from "../table.ts";
import type { ShownStep } from "./transfer-rates.ts";

export interface BarStyle {
  /** Columns of the terminal. */
  readonly width: number;
  /** Rows that may be used. */
  readonly height: number;
  /** Whether it shows more than ASCII. */
  readonly isUnicode: boolean;
  readonly hasColor: boolean;
}

const ended: ReadonlySet<string> = new Set(["exists", "mounted", "skipped", "done"]);
const order = ["downloading", "loading", "uploading", "extracting", "waiting"];
const shortestBar = 10;
const longestBar = 40;
/** Of an amount and a rate at their longest. */
const amountColumns = 33;

/** A line for each part, those first that are at work where not all have room, and a line for the whole. */
export function barLines(steps: readonly ShownStep[], style: BarStyle): string[] {
  const room = Math.max(1, style.height - 2);
  const shown = steps.length <= room ? steps : mostWanted(steps, room - 1);
  const hidden = steps.length - shown.length;
  return [
    ...shown.map((step) => stepLine(step, style)),
    ...(hidden > 0 ? [cut(`  and ${hidden} more`, style)] : []),
    cut(totalLine(steps), style),
  ];
}

function mostWanted(steps: readonly ShownStep[], count: number): readonly ShownStep[] {
  const rank = ({ state }: ShownStep): number => {
    const at = order.indexOf(state);
    return at < 0 ? order.length : at;
  };
  const first = new Set(steps.toSorted((a, b) => rank(a) - rank(b)).slice(0, Math.max(0, count)));
  return steps.filter((step) => first.has(step));
}

function stepLine(step: ShownStep, style: BarStyle): string {
  const { digest, kind, state, doneBytes, totalBytes, bytesPerSecond } = step;
  const begin = `${shortId(printableLine(digest))} ${printableLine(kind).padEnd(8)} ${printableLine(state).padEnd(11)}`;
  const isOver = ended.has(state);
  const amount = isOver ? bytes(totalBytes) : `${bytes(doneBytes)} of ${bytes(totalBytes)}`;
  const rate = bytesPerSecond > 0 ? `  ${bytes(bytesPerSecond)}/s` : "";
  const room = style.width - 1 - begin.length - amountColumns;
  const isBar = !isOver && state !== "waiting" && room >= shortestBar;
  const bar = isBar ? ` ${barOf(doneBytes, totalBytes, Math.min(longestBar, room), style)}` : "";
  const line = cut(`${begin}${bar} ${amount}${rate}`, style);
  return style.hasColor && isOver ? `\u001b[32m${line}\u001b[39m` : line;
}

function barOf(done: number, total: number, width: number, { isUnicode }: BarStyle): string {
  const part = total > 0 ? Math.min(1, done / total) : 0;
  const full = Math.round(part * (width - 2));
  const [fill, tip, rest] = isUnicode ? ["━", "╸", " "] : ["=", ">", " "];
  const isWhole = full >= width - 2;
  const filled = isWhole || full === 0 ? fill.repeat(full) : `${fill.repeat(full - 1)}${tip}`;
  return `[${filled}${rest.repeat(width - 2 - full)}]`;
}

function totalLine(steps: readonly ShownStep[]): string {
  const sum = (of: "doneBytes" | "totalBytes" | "bytesPerSecond"): number =>
    steps.reduce((all, step) => all + step[of], 0);
  const over = steps.filter(({ state }) => ended.has(state)).length;
  const rate = sum("bytesPerSecond");
  const pace = rate > 0 ? `, ${bytes(rate)}/s` : "";
  return `${over} of ${steps.length} done, ${bytes(sum("doneBytes"))} of ${bytes(sum("totalBytes"))}${pace}`;
}

/** The last column stays free: some terminals begin a new line when it is written to. */
function cut(line: string, { width }: BarStyle): string {
  return line.slice(0, Math.max(1, width - 1));
}
