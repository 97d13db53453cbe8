// SPDX-License-Identifier: Apache-2.0
import type { LostSocket } from "../../rpc/socket-watch.ts";
import { renderTable } from "./table.ts";

/** A row for each socket at whose path clients do not find the daemon. */
export function describeLostSockets(lost: readonly LostSocket[]): string {
  return renderTable(lost, [
    { title: "LOST SOCKET", value: ({ path }) => path },
    { title: "WHO LISTENS THERE", value: ({ owner }) => owner || "-" },
  ]);
}
