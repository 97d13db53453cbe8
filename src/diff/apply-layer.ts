// SPDX-License-Identifier: Apache-2.0
import type { Cancellable } from "../base/cancellable.ts";
import { fault } from "../base/errors.ts";
import { onDisk } from "../base/on-disk.ts";
import { syncFileSystem } from "../base/os/inode.ts";
import { bindSource, overlayFolders } from "../base/os/overlay.ts";
import type { TypesMount } from "../gen/types.gen.ts";
import {
  type ExtractedLayer,
  extractLayer,
  type Whiteouts,
} from "../images/unpack/extract-layer.ts";
import { openScratchMounts, type ScratchMounts } from "./scratch-mounts.ts";

export interface ApplyRequest {
  /** File of the layer. */
  readonly blob: string;
  readonly mounts: readonly TypesMount[];
  /** Flushes the file system at the end. */
  readonly sync: boolean;
  /** Folder for a mount point, where one is needed. */
  readonly scratchFolder: string;
}

/**
 * Puts a layer's files onto mounts. The writable layer of an overlay is filled directly, with overlayfs' own marks
 * for deletions, and so is the folder of a bind mount. Only other mounts have to be mounted.
 */
export async function applyLayer(
  request: ApplyRequest,
  call: Cancellable,
): Promise<ExtractedLayer> {
  await using place = await placeOf(request);
  const { root, whiteouts, lowers } = place;
  return await onDisk("extract the layer", root, async () => {
    const layer = await extractLayer({ blob: request.blob, root, whiteouts, lowers }, call);
    if (request.sync) await syncFileSystem(root);
    return layer;
  });
}

interface Place extends AsyncDisposable {
  readonly root: string;
  readonly whiteouts: Whiteouts;
  /** Top first; folders that the layer only implies are made to look as in these. */
  readonly lowers: readonly string[];
}

async function placeOf({ mounts, scratchFolder }: ApplyRequest): Promise<Place> {
  const [only, ...others] = mounts;
  if (!only) throw fault("INVALID_ARGUMENT", "there are no mounts to apply the layer to");
  const nothing = { [Symbol.asyncDispose]: async () => {} };
  if (others.length === 0) {
    const { upper, lowers } = overlayFolders(only) ?? { upper: undefined, lowers: [] };
    if (upper !== undefined) return { root: upper, whiteouts: "overlay", lowers, ...nothing };
    const source = bindSource(only);
    if (source !== undefined) return { root: source, whiteouts: "remove", lowers: [], ...nothing };
  }
  await using undo = new AsyncDisposableStack();
  const scratch: ScratchMounts = undo.use(await openScratchMounts(scratchFolder));
  const root = await scratch.mount("root", mounts);
  const owned = undo.move();
  const dispose = { [Symbol.asyncDispose]: () => owned.disposeAsync() };
  return { root, whiteouts: "remove", lowers: [], ...dispose };
}
