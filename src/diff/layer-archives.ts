// SPDX-License-Identifier: Apache-2.0
import { copyFile } from "node:fs/promises";
import type { Cancellable } from "../base/cancellable.ts";
import type { MappedMountOptions } from "../base/os/mapped-mount.ts";
import { unmapUpper } from "../base/os/unmapped-upper.ts";
import { timeoutSignal } from "../base/timers.ts";
import { rootLabel } from "../metadata/references.ts";
import type { Snapshotter } from "../snapshots/ports.ts";
import { applyLayer } from "./apply-layer.ts";
import { makeDiff } from "./make-diff.ts";
import { openScratchMounts } from "./scratch-mounts.ts";

/** `scratchFolder` takes mount points. */
export interface LayerArchivesOptions extends MappedMountOptions {
  readonly snapshotter: Snapshotter;
  /** Of the snapshots. */
  readonly namespace: string;
  /** Labels of the view of the parent that is there while a layer is packed: they show what a crash has left. */
  readonly labels: Readonly<Record<string, string>>;
}

/** Packs and unpacks writable layers, each named by the key of its snapshot. */
export interface LayerArchives {
  /** Writes what differs from the parent to a file. */
  pack(key: string, file: string, call: Cancellable): Promise<void>;
  /** Puts such a file's content into a layer that no process writes to. */
  unpack(key: string, file: string, call: Cancellable): Promise<void>;
}

/**
 * Writable layers as archives, over the snapshotter. Files have the owners that they have in the
 * container, also where that is in a user namespace.
 */
export function createLayerArchives(options: LayerArchivesOptions): LayerArchives {
  const { snapshotter, namespace, scratchFolder } = options;
  const labels = { ...options.labels, [rootLabel]: "true" };
  return {
    pack: async (key, file, call) => {
      const { parent } = snapshotter.stat(namespace, key);
      const base = `${key}-base`;
      const left = await snapshotter.view(namespace, base, parent, { ...call, labels });
      try {
        await using scratch = await openScratchMounts(scratchFolder);
        await using lent = await unmapUpper(snapshotter.mounts(namespace, key), options);
        const right = lent.mounts;
        const made = await makeDiff(
          { left, right, compression: "none", latestNanos: undefined },
          scratch,
          call,
        );
        await copyFile(made.file, file);
      } finally {
        await snapshotter.remove(namespace, base, { signal: timeoutSignal(10_000) });
      }
    },
    unpack: async (key, file, call) => {
      await using lent = await unmapUpper(snapshotter.mounts(namespace, key), options);
      await applyLayer({ blob: file, mounts: lent.mounts, sync: false, scratchFolder }, call);
    },
  };
}
