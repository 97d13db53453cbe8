// SPDX-License-Identifier: Apache-2.0
import { key, table } from "../key.ts";
import { choice, duration, integer } from "../kinds.ts";

export const images = table({
  doc: "Pulling and unpacking images.",
  keys: {
    maxConcurrentDownloads: key({
      name: "max_concurrent_downloads",
      kind: integer(1, 64),
      default: 3,
      change: "reload",
      doc: "Layers downloaded at once for one image.",
    }),
    /** No byte for this long fails a download. */
    pullProgressTimeoutMs: key({
      name: "pull_progress_timeout",
      kind: duration,
      default: 300_000,
      change: "reload",
      doc: "What a registry does not answer for this long fails, and so does a download below 1 KiB/s on average; 0s waits for a download for ever.",
    }),
  },
  retired: [
    {
      name: "snapshotter",
      kind: choice("overlayfs"),
      instead: "layers become root file systems by overlayfs",
    },
  ],
});
