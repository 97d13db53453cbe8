// SPDX-License-Identifier: Apache-2.0
import type { FlawedRuntime } from "../../oci/runtime-flaws.ts";
import { renderTable } from "./table.ts";

/** A row for each flaw of each handler, and what can be done about them. */
export function describeFlawed(runtimes: readonly FlawedRuntime[]): string {
  const rows = runtimes.flatMap(({ flaws, ...runtime }) =>
    flaws.map((flaw) => ({ ...runtime, ...flaw })),
  );
  const table = renderTable(rows, [
    { title: "HANDLER", value: ({ handler }) => handler },
    { title: "RUNTIME", value: ({ binary, version }) => `${binary} ${version}` },
    { title: "KNOWN FLAW", value: ({ id }) => id },
    { title: "FIXED IN", value: ({ fixedIn }) => fixedIn.join(", ") },
    { title: "WHAT IT IS", value: ({ what }) => what },
  ]);
  const builds = [...new Set(runtimes.map(({ build }) => build).filter(Boolean))].join(", ");
  const whose = builds === "" ? "" : ` (${builds})`;
  return `${table}A distribution may have mended these under the same version${whose}: ask its security tracker.\n`;
}
