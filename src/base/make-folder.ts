// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, statSync } from "node:fs";
import { mkdir, stat } from "node:fs/promises";
import path from "node:path";
import { errnoOf } from "./errors.ts";

/**
 * Makes a folder and its parents, for paths that others name. Node's own `recursive: true` never
 * comes back where mkdir says ENOENT below a folder that is there, as /proc does (Node 26.10): it
 * goes on making the parent for ever. Throws the system error; a folder that exists is success.
 */
export async function makeFolder(folder: string, mode: number): Promise<void> {
  try {
    await mkdir(folder, mode);
  } catch (error) {
    if (errnoOf(error) === "EEXIST" && (await stat(folder)).isDirectory()) return;
    const parent = path.dirname(folder);
    if (errnoOf(error) !== "ENOENT" || parent === folder) throw error;
    await makeFolder(parent, mode);
    await mkdir(folder, mode).catch((again: unknown) => {
      if (errnoOf(again) !== "EEXIST") throw again;
    });
  }
}

/** The same, synchronously: for threads that may wait for a disk. */
export function makeFolderSync(folder: string, mode: number): void {
  try {
    mkdirSync(folder, mode);
  } catch (error) {
    if (errnoOf(error) === "EEXIST" && statSync(folder).isDirectory()) return;
    const parent = path.dirname(folder);
    if (errnoOf(error) !== "ENOENT" || parent === folder) throw error;
    makeFolderSync(parent, mode);
    try {
      mkdirSync(folder, mode);
    } catch (again) {
      if (errnoOf(again) !== "EEXIST") throw again;
    }
  }
}
