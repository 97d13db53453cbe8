// SPDX-License-Identifier: Apache-2.0
import { lstat, opendir } from "node:fs/promises";
import path from "node:path";
import type { Cancellable } from "../base/cancellable.ts";
import { errnoOf } from "../base/errors.ts";
import type { SnapshotUsage } from "./ports.ts";

const blockBytes = 512n;

/**
 * What a folder takes on disk: allocated blocks and inodes, the folder's own included. A file with
 * several hard links counts once. Files that vanish during the walk are left out.
 */
export async function diskUsage(folder: string, { signal }: Cancellable): Promise<SnapshotUsage> {
  const linked = new Set<string>();
  let blocks = 0n;
  let inodes = 0n;

  async function count(file: string): Promise<boolean> {
    const stat = await lstat(file, { bigint: true });
    if (stat.nlink > 1n && !stat.isDirectory()) {
      const inode = `${stat.dev}:${stat.ino}`;
      if (linked.has(inode)) return false;
      linked.add(inode);
    }
    blocks += stat.blocks;
    inodes += 1n;
    return stat.isDirectory();
  }

  const pending = (await count(folder)) ? [folder] : [];
  for (let dir = pending.pop(); dir !== undefined; dir = pending.pop()) {
    signal.throwIfAborted();
    try {
      for await (const entry of await opendir(dir, { bufferSize: 256 })) {
        const file = path.join(dir, entry.name);
        if (await count(file).catch(ignoreVanished)) pending.push(file);
      }
    } catch (error) {
      ignoreVanished(error);
    }
  }
  return { sizeBytes: blocks * blockBytes, inodes };
}

function ignoreVanished(error: unknown): false {
  if (errnoOf(error) === "ENOENT") return false;
  throw error;
}
