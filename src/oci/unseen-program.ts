// SPDX-License-Identifier: Apache-2.0
import { existsSync, lstatSync } from "node:fs";
import path from "node:path";

/** The link beside the program that hides the cgroup v2 tree (src/pause/unseen.c) to that which it runs. */
export function linkBeside(program: string): string {
  return path.join(path.dirname(program), "real/crun");
}

/** Whether a program is there, and, where it is only the one that hides the cgroup v2 tree, what it runs as well. */
export function isThere(program: string): boolean {
  if (!existsSync(program)) return false;
  if (path.basename(program) !== "crun") return true;
  const link = linkBeside(program);
  const facts = lstatSync(link, { throwIfNoEntry: false });
  return facts?.isSymbolicLink() !== true || existsSync(link);
}
