// SPDX-License-Identifier: Apache-2.0
import { lstatSync } from "node:fs";
import type { TreeUsage } from "./counted-usage.ts";
import { namesIn } from "./folder-contents.ts";
import { bytesOf, osPath } from "./layer-tree.ts";

/**
 * What the tree below "/" takes. Each name of a file with several counts as its share, so that none need be
 * remembered.
 */
export function usageOf(step: () => void): TreeUsage {
  let blocks = lstatSync("/").blocks;
  let inodes = 1;
  // As deep as the tree is, and no wider.
  const pending = [{ at: "", names: namesIn(bytesOf("")) }];
  for (let last = pending.at(-1); last; last = pending.at(-1)) {
    step();
    const next = last.names.next();
    if (next.done) {
      pending.pop();
      continue;
    }
    const at = `${last.at}/${next.value}`;
    const stat = lstatSync(osPath(at), { throwIfNoEntry: false });
    if (stat === undefined) continue;
    const isFolder = stat.isDirectory();
    const names = isFolder ? 1 : stat.nlink;
    blocks += stat.blocks / names;
    inodes += 1 / names;
    if (isFolder) pending.push({ at, names: namesIn(bytesOf(at)) });
  }
  return { sizeBytes: Math.round(blocks) * 512, inodes: Math.round(inodes) };
}
