// SPDX-License-Identifier: Apache-2.0
import type { Snapshotter, SnapshotUsage, UsageCall } from "./ports.ts";

/** What a snapshot and all its parents take on disk: an image, for one. From memory, for committed ones. */
export async function chainUsage(
  snapshotter: Pick<Snapshotter, "stat" | "usage">,
  namespace: string,
  name: string,
  call: UsageCall,
): Promise<SnapshotUsage> {
  let [sizeBytes, inodes] = [0n, 0n];
  for (let at = name; at !== ""; at = snapshotter.stat(namespace, at).parent) {
    const usage = await snapshotter.usage(namespace, at, call);
    sizeBytes += usage.sizeBytes;
    inodes += usage.inodes;
  }
  return { sizeBytes, inodes };
}
