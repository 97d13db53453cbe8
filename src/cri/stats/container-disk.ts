// SPDX-License-Identifier: Apache-2.0
import { access } from "node:fs/promises";
import { errnoOf } from "../../base/errors.ts";
import type { SnapshotUsage, UsageCall } from "../../snapshots/ports.ts";
import type { TreeWork } from "../../trees/ports.ts";
import type { LayerSource } from "./writable-layers.ts";

export interface ContainerDisk {
  /** Of the writable layer. */
  readonly layer: LayerSource["snapshotUsage"];
  /** Folder of the volumes that a container's image declares, by the container's id; most have none. */
  readonly volumes: (id: string) => string;
  readonly work: TreeWork;
}

const blockBytes = 512n;

/**
 * What a container has written: to its writable layer, and to the volumes that its image declares. Nobody
 * else counts those, so that no limit of ephemeral storage would hold for them; in containerd none does.
 */
export function containerDisk({
  layer,
  volumes,
  work,
}: ContainerDisk): LayerSource["snapshotUsage"] {
  return async (key, call) => {
    const own = await layer(key, call);
    const folder = volumes(key);
    if (!(await isThere(folder))) return own;
    const other = await measure(work, folder, call);
    return {
      sizeBytes: own.sizeBytes + other.sizeBytes,
      inodes: own.inodes + other.inodes,
      isPartial: own.isPartial === true || other.isPartial === true,
    };
  };
}

async function measure(
  work: TreeWork,
  folder: string,
  { longestMs, signal }: UsageCall,
): Promise<SnapshotUsage> {
  const request = { folder, ...(longestMs !== undefined && { longestMs }) };
  const { blocks, inodes, isWhole } = await work.run("measure", request, { signal });
  return { sizeBytes: BigInt(blocks) * blockBytes, inodes: BigInt(inodes), isPartial: !isWhole };
}

async function isThere(folder: string): Promise<boolean> {
  try {
    await access(folder);
    return true;
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return false;
    throw error;
  }
}
