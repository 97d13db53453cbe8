// SPDX-License-Identifier: Apache-2.0
import { lstatSync } from "node:fs";
import { access } from "node:fs/promises";
import { errnoOf } from "../../base/errors.ts";
import type { SnapshotUsage, UsageCall } from "../../snapshots/ports.ts";
import type { TreeWork } from "../../trees/ports.ts";
import { RecentMap } from "./recent-map.ts";
import type { LayerSource } from "./writable-layers.ts";

export interface ContainerDisk {
  /** Of the writable layer. */
  readonly layer: LayerSource["snapshotUsage"];
  /** Folder of the volumes that a container's image declares, by the container's id; most have none. */
  readonly volumes: (id: string) => string;
  /** The files under /etc that it shares with the other containers of its pod, by the container's id. */
  readonly shared: (id: string) => readonly string[];
  readonly work: TreeWork;
}

const blockBytes = 512n;
/** Volumes are made before their container: whether there are some is asked once, and again of one that nobody looked at. */
const forgottenMs = 600_000;
/** What such a file may take without being counted: they are a few lines when they are made. */
const freeBytes = 8192n;

/**
 * What a container has written: to its writable layer, to the volumes that its image declares, and to the
 * pod's files under /etc, which any container of the pod may let grow. Nobody else counts the latter two, so
 * that no limit of ephemeral storage would hold for them; in containerd none does (CVE-2020-8557 was the
 * kubelet's own /etc/hosts). Kubelets have this of all containers at once, and what is done for each is done while others call.
 */
export function containerDisk({
  layer,
  volumes,
  shared,
  work,
}: ContainerDisk): LayerSource["snapshotUsage"] {
  const hasVolumes = new RecentMap<boolean>(forgottenMs);
  return async (key, call) => {
    const own = withFiles(await layer(key, call), shared(key));
    const folder = volumes(key);
    let has = hasVolumes.get(key);
    if (has === undefined) {
      has = await isThere(folder);
      hasVolumes.set(key, has);
    }
    if (!has) return own;
    const other = await measure(work, folder, call);
    return {
      sizeBytes: own.sizeBytes + other.sizeBytes,
      inodes: own.inodes + other.inodes,
      isPartial: own.isPartial === true || other.isPartial === true,
    };
  };
}

function withFiles(own: SnapshotUsage, files: readonly string[]): SnapshotUsage {
  const sizes = files.map(bytesOf);
  const more = sizes.reduce((sum, bytes) => sum + (bytes > freeBytes ? bytes : 0n), 0n);
  return more === 0n ? own : { ...own, sizeBytes: own.sizeBytes + more };
}

/** On this thread: the file is mounted into containers that run, and what is mounted is in the kernel's memory. */
function bytesOf(file: string): bigint {
  try {
    const facts = lstatSync(file, { bigint: true, throwIfNoEntry: false });
    return (facts?.blocks ?? 0n) * blockBytes;
  } catch {
    return 0n; // it went with its pod
  }
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
