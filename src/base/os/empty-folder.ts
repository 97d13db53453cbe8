// SPDX-License-Identifier: Apache-2.0
import { rmdir } from "node:fs/promises";
import { errnoOf } from "../errors.ts";

/**
 * Removes a folder with nothing in it; true where there is none then. One in which something is, or is mounted, stays.
 */
export async function removeEmptyFolder(folder: string): Promise<boolean> {
  try {
    await rmdir(folder);
    return true;
  } catch (error) {
    return errnoOf(error) === "ENOENT";
  }
}
