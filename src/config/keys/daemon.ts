// SPDX-License-Identifier: Apache-2.0
import { key, table } from "../key.ts";
import { absolutePath, integer } from "../kinds.ts";
import { usualFolders } from "../layout.ts";

export const daemon = table({
  doc: "Where the daemon keeps its state.",
  keys: {
    /** Persistent state: database, content, snapshots. */
    root: key({
      name: "root",
      kind: absolutePath,
      default: usualFolders.root,
      change: "restart",
      doc: "Folder of what must survive a reboot: database, image content, snapshots.",
    }),
    /** Volatile state: bundles, FIFOs, namespaces, sandbox files. */
    state: key({
      name: "state",
      kind: absolutePath,
      default: usualFolders.state,
      change: "restart",
      doc: "Folder of what a reboot may clear: socket, bundles, FIFOs, pinned network namespaces, sandbox files. Best on a tmpfs.",
    }),
  },
  retired: [
    {
      name: "oom_score",
      kind: integer(-1000, 1000),
      instead:
        "the daemon keeps the oom_score_adj that it was started with, such as systemd's OOMScoreAdjust",
    },
  ],
});
