// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";

/** One entry of a CRI log file. */
export interface LogEntry {
  readonly time: string;
  readonly stream: "stdout" | "stderr";
  /** F ends a line, P does not. */
  readonly tag: "F" | "P";
  readonly text: string;
}

const entryForm =
  /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,9}(?:Z|[+-]\d\d:\d\d)) (stdout|stderr) ([FP]) (.*)$/s;

/** Reads a CRI log file strictly: each line in the format, the file ending in a newline. */
export function parseCriLog(text: string): LogEntry[] {
  if (text === "") return [];
  assert.ok(text.endsWith("\n"), "the log ends in the middle of a line");
  return text
    .slice(0, -1)
    .split("\n")
    .map((line) => {
      const match = entryForm.exec(line);
      assert.ok(match, `not a CRI log line: ${JSON.stringify(line)}`);
      const [, time, stream, tag, rest] = match;
      return { time, stream, tag, text: rest } as LogEntry;
    });
}

/** The whole lines of one stream, partial entries joined. */
export function linesOf(text: string, stream: "stdout" | "stderr" = "stdout"): string[] {
  const lines: string[] = [];
  let open = "";
  for (const entry of parseCriLog(text)) {
    if (entry.stream !== stream) continue;
    open += entry.text;
    if (entry.tag === "P") continue;
    lines.push(open);
    open = "";
  }
  return lines;
}
