// SPDX-License-Identifier: Apache-2.0

import { copyFile } from "node:fs/promises";
import type { MappedMountOptions } from "../base/os/mapped-mount.ts";
import { unmapUpper } from "../base/os/unmapped-upper.ts";
import { timeoutSignal } from "../base/timers.ts";
import { kindLabel } from "../client/kind-label.ts";
import { criNamespace, type LayerArchives } from "../cri/ports.ts";
import { applyLayer } from "../diff/apply-layer.ts";
import { makeDiff } from "../diff/make-diff.ts";
import { openScratchMounts } from "../diff/scratch-mounts.ts";
import { rootLabel } from "../metadata/references.ts";
import type { Snapshotter } from "../snapshots/ports.ts";

/**
 * Writable layers as archives, over the snapshotter. Files have the owners that they have in the
 * container, also where that is in a user namespace. `scratchFolder` takes mount points.
 */
export function createLayerArchives(
  snapshotter: Snapshotter,
  options: MappedMountOptions,
): LayerArchives {
  const { scratchFolder } = options;
  return {
    pack: async (key, file, call) => {
      const { parent } = snapshotter.stat(criNamespace, key);
      const base = `${key}-base`;
      const labels = { [kindLabel]: "checkpoint", [rootLabel]: "true" };
      const left = await snapshotter.view(criNamespace, base, parent, { ...call, labels });
      try {
        await using scratch = await openScratchMounts(scratchFolder);
        await using lent = await unmapUpper(snapshotter.mounts(criNamespace, key), options);
        const right = lent.mounts;
        const made = await makeDiff(
          { left, right, compression: "none", latestNanos: undefined },
          scratch,
          call,
        );
        await copyFile(made.file, file);
      } finally {
        await snapshotter.remove(criNamespace, base, { signal: timeoutSignal(10_000) });
      }
    },
    unpack: async (key, file, call) => {
      await using lent = await unmapUpper(snapshotter.mounts(criNamespace, key), options);
      await applyLayer({ blob: file, mounts: lent.mounts, sync: false, scratchFolder }, call);
    },
  };
}
