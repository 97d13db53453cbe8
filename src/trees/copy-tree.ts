// SPDX-License-Identifier: Apache-2.0
import { errnoOf, fault } from "../base/errors.ts";
import { atCurrent, makeFolderAt, openAt, openFolder, unlinkAt } from "../base/os/at.ts";
import { DirectoryReader } from "../base/os/directory-reader.ts";
import { type FileFacts, FileType } from "../base/os/file-facts.ts";
import type { IdMappings } from "../base/os/id-mapping.ts";
import { type CopyTarget, copyFile, dress } from "./copy-file.ts";
import { CopyMeter, type CopySize } from "./copy-meter.ts";
import type { Descriptors } from "./descriptors.ts";
import type { Job } from "./jobs.ts";
import { type MergedEntry, MergedWalk } from "./merged-walk.ts";

export interface CopyRequest {
  /** A folder's parts in the layers of an overlay, topmost first; each path is bytes, one character each. */
  readonly layers: readonly string[];
  /** Made by the copy, in a folder of ours. */
  readonly destination: string;
  /** Which owners the copies get; those of the originals when left out. */
  readonly mappings?: IdMappings;
  /** Refuse what is neither a file nor a folder, and more entries than this. */
  readonly plainEntries?: number;
  /** FAILED_PRECONDITION where it would take more. */
  readonly most?: CopySize;
}

/** Entries between two yields. */
const pieceEntries = 32;

/**
 * Copies a folder of an image, its layers merged as overlayfs merges them: names as bytes, files with their holes,
 * hard links to one another, links, FIFOs and devices, with owners, modes, attributes and times. Sockets are left
 * out, as no archive holds any. No link is ever followed.
 *
 * A file with several names is kept under one of ours in a folder beside the destination until all its names have
 * been met, so no memory is needed for them. Answers how much was copied.
 */
export function* copyTree(request: CopyRequest, descriptors: Descriptors): Job<CopySize> {
  const { destination, mappings, plainEntries } = request;
  const links = `${destination}.links`;
  for (const folder of [destination, links]) makeFolderAt(atCurrent, bytes(folder), 0o700);
  using open = new DisposableStack();
  const keep = (path: string): number => {
    const fd = descriptors.keep(openAt(atCurrent, bytes(path), openFolder));
    open.defer(() => descriptors.close(fd));
    return fd;
  };
  const linked = keep(links);
  const walk = open.use(
    new MergedWalk({ layers: request.layers.map(bytes), target: bytes(destination), descriptors }),
  );
  const target: CopyTarget = {
    links: linked,
    mappings,
    descriptors,
    meter: new CopyMeter(request.most),
  };
  target.meter.inode();
  let entries = 0;
  for (let entry = walk.next(); entry !== undefined; entry = walk.next()) {
    if (entry.kind === "entry") entries += 1;
    if (entries % pieceEntries === 0) yield;
    if (plainEntries !== undefined) checkPlain(entry, entries, plainEntries);
    yield* copyEntry(walk, entry, target);
  }
  yield* removeLinks(linked);
  unlinkAt(atCurrent, bytes(links), true);
  return target.meter.size;
}

function* copyEntry(walk: MergedWalk, entry: MergedEntry, target: CopyTarget): Job<void> {
  if (entry.kind === "end") dress(entry.source, entry.target, entry.facts, target);
  else if (typeOf(entry.facts) === FileType.folder) {
    target.meter.inode();
    walk.enter(entry);
  } else yield* copyFile(entry, target);
}

function checkPlain(entry: MergedEntry, entries: number, most: number): void {
  if (entries > most) throw fault("RESOURCE_EXHAUSTED", `it has more than ${most} files`);
  const type = typeOf(entry.facts);
  if (type === FileType.folder || type === FileType.regular || entry.kind === "end") return;
  const name = entry.name.toString();
  throw fault("INVALID_ARGUMENT", `"${name}" is neither a file nor a folder`);
}

function* removeLinks(folder: number): Job<void> {
  const reader = new DirectoryReader(folder);
  // Removing while a folder is read may hide entries from the reader: it is read again until it is empty.
  for (let removed = 1; removed > 0; reader.seek(0n)) {
    removed = 0;
    for (let entry = reader.next(); entry !== undefined; entry = reader.next()) {
      try {
        unlinkAt(folder, entry.name, false);
      } catch (error) {
        if (errnoOf(error) !== "ENOENT") throw error;
      }
      removed += 1;
      if (removed % pieceEntries === 0) yield;
    }
  }
}

function typeOf({ mode }: Pick<FileFacts, "mode">): number {
  return mode & FileType.mask;
}

function bytes(path: string): Buffer {
  return Buffer.from(path, "latin1");
}
