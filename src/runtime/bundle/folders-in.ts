// SPDX-License-Identifier: Apache-2.0
import { readdir } from "node:fs/promises";
import { errnoOf } from "../../base/errors.ts";

/** The names of the folders in a folder; none where it is not there. Else system errors. */
export async function foldersIn(folder: string): Promise<string[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  }
}
