// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { removeFolderSync } from "../../src/base/remove-folder.ts";

const made = new Map<string, string>();

/**
 * A folder for a target's files, of this process; it goes when that ends. The fuzzer's own folder for
 * temporary files, which it removes itself when it kills a process, is in memory.
 */
export function scratchFolder(target: string): string {
  let folder = made.get(target);
  if (folder === undefined) {
    if (made.size === 0) process.once("exit", () => [...made.values()].forEach(removeFolderSync));
    folder = mkdtempSync(path.join(os.tmpdir(), `berth-fuzz-${target}-`));
    made.set(target, folder);
  }
  return folder;
}
