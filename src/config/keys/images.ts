// SPDX-License-Identifier: Apache-2.0
import { key, table } from "../key.ts";
import { choice, duration, flag, integer, strings } from "../kinds.ts";

/** Of layers at once. */
export const mostDownloads = 64;

export const images = table({
  doc: "Pulling and unpacking images.",
  keys: {
    maxConcurrentDownloads: key({
      name: "max_concurrent_downloads",
      kind: integer(1, mostDownloads),
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
    discardUnpackedLayers: key({
      name: "discard_unpacked_layers",
      kind: flag,
      default: false,
      change: "reload",
      doc: "Removes a pulled image's compressed layers once they are unpacked: less disk, but such an image cannot be exported or pushed, and `berth image verify` cannot look at its layers. Holds for what is pulled or loaded from then on.",
    }),
    pinned: key({
      name: "pinned",
      kind: strings,
      default: [],
      change: "reload",
      doc: 'Images that neither a kubelet nor `berth image prune` collects, by the names that `berth image ls` shows; "*" stands for any characters: "registry.example.com/base/*", "*/pause:*".',
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
