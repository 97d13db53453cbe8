// SPDX-License-Identifier: Apache-2.0
import { createWriteStream } from "node:fs";
import { mkdir, realpath, rm, utimes } from "node:fs/promises";
import path from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { extract, type Header } from "tar-stream";
import { errnoOf, fault } from "../../base/errors.ts";

/**
 * Unpacks an archive from a container, in which everything is below `name`, so that `name` becomes
 * `destination`. The archive is not to be trusted: only files and folders are made, links are told to
 * `onSkip`, and FAILED_PRECONDITION refuses a name that leads elsewhere, through `..` or through a
 * link that is there already. NOT_FOUND for an archive with nothing in it.
 */
export async function unpackTree(
  archive: Readable,
  name: string,
  destination: string,
  onSkip: (what: string) => void,
): Promise<void> {
  const root = path.resolve(destination);
  const parent = await realpath(path.dirname(root));
  let made = 0;
  const entries = extract();
  const reading = pipeline(archive, entries);
  reading.catch(() => {}); // awaited below
  for await (const entry of entries) {
    const { header } = entry;
    const below = placeBelow(header.name, name);
    const file = path.join(root, ...below);
    if (header.type === "directory") {
      await refuseElsewhere(file, root, parent);
      await mkdir(file, { recursive: true });
      made += 1;
    } else if (header.type === "file" || header.type === "contiguous-file") {
      await refuseElsewhere(file, root, parent);
      await writeFile(file, entry as unknown as Readable, header);
      made += 1;
    } else {
      onSkip(`${header.name}: a ${header.type}`);
    }
    entry.resume();
  }
  await reading;
  if (made === 0) throw fault("NOT_FOUND", `nothing of "${name}" came out of the container`);
}

/** The parts of the entry's name below `name`. */
function placeBelow(entryName: string, name: string): string[] {
  const [first, ...rest] = entryName
    .replace(/^\.?\/+/, "")
    .split("/")
    .filter((part) => part !== "" && part !== ".");
  if (first !== name || rest.includes("..") || entryName.includes("\0")) {
    throw fault(
      "FAILED_PRECONDITION",
      `the container sent "${entryName}", which is not in "${name}"`,
    );
  }
  return rest;
}

/** Follows what is there of the folder that `file` goes into, and makes the rest. */
async function refuseElsewhere(file: string, root: string, parent: string): Promise<void> {
  if (file === root) return;
  const folder = path.dirname(file);
  const home = path.join(parent, path.basename(root));
  const real = await nearest(folder);
  if (real !== parent && real !== home && !real.startsWith(`${home}/`)) {
    throw fault("FAILED_PRECONDITION", `"${folder}" leads to "${real}" by a link: refused`);
  }
  await mkdir(folder, { recursive: true });
}

/** Where the path, or the nearest folder above it that exists, really is. */
async function nearest(folder: string): Promise<string> {
  for (let at = folder; ; at = path.dirname(at)) {
    try {
      return await realpath(at);
    } catch (error) {
      if (errnoOf(error) !== "ENOENT" || at === path.dirname(at)) throw error;
    }
  }
}

async function writeFile(file: string, body: Readable, header: Header): Promise<void> {
  // Anew: what is there may be a link to elsewhere.
  await rm(file, { force: true });
  const mode = (header.mode ?? 0o644) & 0o777;
  await pipeline(body, createWriteStream(file, { flags: "wx", mode }));
  if (header.mtime) await utimes(file, header.mtime, header.mtime);
}
