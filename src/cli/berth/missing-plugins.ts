// SPDX-License-Identifier: Apache-2.0
import { renderTable } from "./table.ts";

/** As verbose Status tells it. */
export interface MissingPlugin {
  readonly name: string;
  /** Why it went; "" when it has not been there since the daemon's start. */
  readonly reason: string;
}

/** A row for each plugin of NRI that is required and not connected. */
export function describeMissingPlugins(missing: readonly MissingPlugin[]): string {
  return renderTable(missing, [
    { title: "MISSING NRI PLUGIN", value: ({ name }) => name },
    { title: "WHY", value: ({ reason }) => reason || "it has not connected" },
  ]);
}
