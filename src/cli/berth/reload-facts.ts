// SPDX-License-Identifier: Apache-2.0
import type { ReloadFacts } from "../../config/reload-history.ts";

/** When the configuration was read, how the last reload went, and what waits for a restart. */
export function describeReload({ loadedAtMs, last, waiting }: ReloadFacts): string {
  const lines = [`configuration: read ${time(loadedAtMs)}`];
  if (last !== undefined) {
    const { atMs, changes, reason, result } = last;
    lines.push(
      result === "success"
        ? `last reload: ${time(atMs)}, succeeded, ${count(changes.length)}`
        : `last reload: ${time(atMs)}, failed, nothing changed: ${indented(reason)}`,
    );
  }
  if (waiting.length > 0) {
    lines.push("waiting for a restart of berthd:", ...waiting.map((text) => `  ${text}`));
  }
  return `${lines.join("\n")}\n`;
}

function count(changes: number): string {
  if (changes === 0) return "nothing changed";
  return changes === 1 ? "1 key changed" : `${changes} keys changed`;
}

function indented(reason: string): string {
  return reason.split("\n").join("\n  ");
}

/** In UTC, to the second. */
function time(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}
