// SPDX-License-Identifier: Apache-2.0
import type { StuckTree } from "../../trees/ports.ts";
import { age, renderTable } from "./table.ts";

/** What verbose Status tells of trees that could not be removed; none when the daemon is not one of ours. */
export function readStuck(json: string | undefined): readonly StuckTree[] {
  try {
    return JSON.parse(json ?? "[]") as readonly StuckTree[];
  } catch {
    return [];
  }
}

export function describeStuck(stuck: readonly StuckTree[]): string {
  return renderTable(stuck, [
    { title: "COULD NOT REMOVE", value: ({ path }) => path },
    { title: "ERROR", value: ({ code }) => code },
    { title: "ATTEMPTS", value: ({ attempts }) => String(attempts) },
    { title: "SINCE", value: ({ sinceMs }) => age(Date.now() - sinceMs) },
  ]);
}
