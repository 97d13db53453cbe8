// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync } from "node:fs";
import { removeFolderSync } from "../../src/base/remove-folder.ts";

const made = new Map<string, string>();

/** A folder in memory for a target's files, of this process; it goes when that ends. */
export function scratchFolder(target: string): string {
  let folder = made.get(target);
  if (folder === undefined) {
    if (made.size === 0) process.once("exit", () => [...made.values()].forEach(removeFolderSync));
    folder = mkdtempSync(`/dev/shm/berth-fuzz-${target}-`);
    made.set(target, folder);
  }
  return folder;
}
