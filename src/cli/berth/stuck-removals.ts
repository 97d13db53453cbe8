// SPDX-License-Identifier: Apache-2.0
import type { StuckTree } from "../../trees/ports.ts";
import { age, renderTable } from "./table.ts";

/** A row for each tree that could not be removed. */
export function describeStuck(stuck: readonly StuckTree[]): string {
  return renderTable(stuck, [
    { title: "COULD NOT REMOVE", value: ({ path }) => path },
    { title: "ERROR", value: ({ code }) => code },
    { title: "ATTEMPTS", value: ({ attempts }) => String(attempts) },
    { title: "SINCE", value: ({ sinceMs }) => age(Date.now() - sinceMs) },
  ]);
}
