// SPDX-License-Identifier: Apache-2.0
import { existsSync } from "node:fs";
import { fault } from "../../base/errors.ts";
import {
  FolderSnapshotter,
  type FolderSnapshotterOptions,
  type OwnerMapping,
} from "../folder-snapshotter.ts";
import { overlayMounts } from "./overlay-mounts.ts";

export interface OverlaySnapshotterOptions extends FolderSnapshotterOptions {
  /** How owners are mapped for user namespaces; left out, such snapshots are refused. */
  readonly owners?: OwnerMapping;
}

/**
 * Opens the overlayfs snapshotter of a folder, whose name must not contain ":" or ","; folders that a
 * crash left without record are removed.
 */
export async function createOverlaySnapshotter(
  options: OverlaySnapshotterOptions,
): Promise<FolderSnapshotter> {
  if (/[:,\\]/.test(options.root)) {
    throw fault("INVALID_ARGUMENT", `overlayfs cannot use a folder named "${options.root}"`);
  }
  const indexOff = existsSync("/sys/module/overlay/parameters/index");
  const snapshotter = new FolderSnapshotter(options, {
    name: "overlayfs",
    whiteouts: "overlay",
    isWhole: false,
    ...(options.owners && { owners: options.owners }),
    mounts: (place) => overlayMounts({ ...place, indexOff }),
  });
  await snapshotter.recover();
  return snapshotter;
}
