// SPDX-License-Identifier: Apache-2.0
import { lstatSync, rmSync } from "node:fs";
import { fault } from "./errors.ts";

const mostAttempts = 100;

/**
 * Removes a folder of ours with all that is in it; nothing happens where there is none. Where somebody else removes
 * in it at the same time (a shim, a job, another process), Node's rmSync stops without an error and leaves the rest:
 * so this checks that the folder is gone.
 *
 * @throws Node's system error; INTERNAL where somebody goes on filling the folder.
 */
export function removeFolderSync(folder: string): void {
  for (let attempt = 0; attempt < mostAttempts; attempt += 1) {
    rmSync(folder, { recursive: true, force: true });
    if (lstatSync(folder, { throwIfNoEntry: false }) === undefined) return;
  }
  throw fault("INTERNAL", `cannot remove "${folder}": something goes on filling it`);
}
