// SPDX-License-Identifier: Apache-2.0
import { closeSync, constants, lstatSync, openSync } from "node:fs";
import { opendir, readdir } from "node:fs/promises";
import path from "node:path";
import { errnoOf } from "../errors.ts";
import { removeFolderSync } from "../remove-folder.ts";

/** A client opens its FIFOs at once, but the shim opens its own ends only when it is made. */
const youngMs = 10 * 60_000;
/** How many folders are looked at by one command, and how many files one of them has at most. */
const mostFolders = 1000;
const mostFiles = 3;

/** The folder for FIFOs that clients of a socket have, unless they name another. */
export function fifosBeside(socket: string): string {
  return path.join(path.dirname(socket), "client-fifo");
}

/**
 * Removes the folders of clients that were killed: those whose FIFOs nobody has open, neither a client nor the shim of a
 * process that runs on. What cannot be told, or is no folder of FIFOs, stays.
 */
export async function removeLeftFifos(folder: string): Promise<void> {
  for await (const place of leftFifos(folder)) {
    try {
      removeFolderSync(place);
    } catch {
      // its client may remove it just now
    }
  }
}

/** Those folders. */
export async function* leftFifos(folder: string): AsyncGenerator<string, void, undefined> {
  let looked = 0;
  try {
    for await (const { name } of await opendir(folder)) {
      if (++looked > mostFolders) return;
      const place = path.join(folder, name);
      if (await isLeft(place)) yield place;
    }
  } catch {
    // nobody has made it yet
  }
}

async function isLeft(place: string): Promise<boolean> {
  try {
    const facts = lstatSync(place);
    if (!facts.isDirectory() || Date.now() - facts.mtimeMs < youngMs) return false;
    const files = await readdir(place);
    return files.length <= mostFiles && files.every((name) => isDeserted(path.join(place, name)));
  } catch {
    return false;
  }
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
