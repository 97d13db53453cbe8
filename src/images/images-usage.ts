// SPDX-License-Identifier: Apache-2.0
import { stat } from "node:fs/promises";
import type { Cancellable } from "../base/cancellable.ts";
import type { ContentStore } from "../content/ports.ts";
import type { Snapshotter } from "../snapshots/ports.ts";
import type { DiskUsage } from "./ports.ts";

export interface UsageParts {
  readonly namespace: string;
  readonly content: ContentStore;
  readonly snapshotter: Snapshotter;
}

/**
 * What images take. Layers come first: a kubelet looks at the first file system alone, and that is the one that
 * containers fill. Blobs count with them, unless somebody has mounted another disk for these.
 */
export async function imagesUsage(
  { namespace, content, snapshotter }: UsageParts,
  call: Cancellable,
): Promise<readonly [DiskUsage, ...DiskUsage[]]> {
  const layers = { folder: snapshotter.root, bytes: 0n, inodes: 0n };
  for (const { name, kind } of snapshotter.list(namespace)) {
    if (kind !== "COMMITTED") continue;
    const usage = await snapshotter.usage(namespace, name, call);
    layers.bytes += usage.sizeBytes;
    layers.inodes += usage.inodes;
  }
  const isOne = (await deviceOf(content.root)) === (await deviceOf(snapshotter.root));
  const blobs = isOne ? layers : { folder: content.root, bytes: 0n, inodes: 0n };
  for (const { sizeBytes } of content.list(namespace)) {
    blobs.bytes += sizeBytes;
    blobs.inodes += 1n;
  }
  return isOne ? [layers] : [layers, blobs];
}

async function deviceOf(folder: string): Promise<number> {
  const { dev } = await stat(folder);
  return dev;
}
