// SPDX-License-Identifier: Apache-2.0
import { closeSync, constants, lstatSync, openSync } from "node:fs";
import { opendir, readdir } from "node:fs/promises";
import path from "node:path";
import { errnoOf } from "../../base/errors.ts";
import { removeFolderSync } from "../../base/remove-folder.ts";

/** A client opens its FIFOs at once, but the shim opens its own ends only when it is made. */
const youngMs = 10 * 60_000;
/** How many folders are looked at by one command, and how many files one of them has at most. */
const mostFolders = 1000;
const mostFiles = 3;

/**
 * Removes the folders of clients that were killed: those whose FIFOs nobody has open, neither a client nor the shim of a
 * process that runs on. What cannot be told, or is no folder of FIFOs, stays.
 */
export async function removeLeftFifos(folder: string): Promise<void> {
  let looked = 0;
  try {
    for await (const { name } of await opendir(folder)) {
      if (++looked > mostFolders) return;
      await removeLeft(path.join(folder, name)).catch(() => {}); // its client may remove it just now
    }
  } catch {
    // nobody has made it yet
  }
}

async function removeLeft(place: string): Promise<void> {
  const facts = lstatSync(place);
  if (!facts.isDirectory() || Date.now() - facts.mtimeMs < youngMs) return;
  const files = await readdir(place);
  if (files.length > mostFiles) return;
  if (files.every((name) => isDeserted(path.join(place, name)))) removeFolderSync(place);
}

/** A FIFO that nobody reads: shims keep a read end of their own of all that they write to. */
function isDeserted(file: string): boolean {
  if (!lstatSync(file).isFIFO()) return false;
  try {
    closeSync(openSync(file, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW));
    return false;
  } catch (error) {
    return errnoOf(error) === "ENXIO";
  }
}
