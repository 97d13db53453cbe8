// SPDX-License-Identifier: Apache-2.0
import { constants } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import type { Readable } from "node:stream";
import type { Cancellable } from "../../base/cancellable.ts";
import { errnoOf, fault } from "../../base/errors.ts";
import { magicBytes, readableCompression } from "../unpack/decompress.ts";
import { FolderArchive } from "./folder-archive.ts";
import { InflatedArchive } from "./inflated-archive.ts";
import { TarArchive } from "./tar-archive.ts";

/** Named files of a folder or of a tar archive. */
export interface Archive extends AsyncDisposable {
  /** Whether it is compressed: a file's bytes take nothing of any disk yet, and each look into it begins at its start. */
  readonly isInflated: boolean;
  /** undefined when there is no such file. */
  open(name: string, call: Cancellable): Promise<ArchivedFile | undefined>;
  /** Shows those of these files that are there, one after another, in the order in which it is read once. */
  visit(names: readonly string[], take: Visit, call: Cancellable): Promise<void>;
}

/** Reads all of a file before it ends. `names` are those among the wanted ones that lead to it. */
export type Visit = (names: readonly string[], file: ArchivedFile) => Promise<void>;

export interface ArchivedFile {
  readonly sizeBytes: number;
  /** Its bytes, once. */
  stream(): Readable;
}

/**
 * Opens an archive by its path. A compressed tar is inflated as it is read, and never lies anywhere as a whole.
 * NOT_FOUND, INVALID_ARGUMENT for what is neither a file nor a folder.
 */
export async function openArchive(file: string, call: Cancellable): Promise<Archive> {
  const found = await stat(file).catch((error: unknown) => {
    throw unreadable(file, error);
  });
  if (found.isDirectory()) return FolderArchive.open(file);
  await using stack = new AsyncDisposableStack();
  const given = stack.use(await openFile(file));
  const start = Buffer.alloc(magicBytes);
  await given.read(start, 0, start.length, 0);
  const compression = readableCompression(start);
  const archive =
    compression === "none"
      ? await TarArchive.open(given, call)
      : await InflatedArchive.open(given, compression, call);
  stack.move();
  return archive;
}

/** Opening a FIFO would wait for its other end: it is opened without waiting, and its kind is checked then. */
async function openFile(file: string): Promise<FileHandle> {
  const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK).catch(
    (error: unknown) => {
      throw unreadable(file, error);
    },
  );
  if ((await handle.stat()).isFile()) return handle;
  await handle.close();
  throw fault("INVALID_ARGUMENT", "it is neither a file nor a folder");
}

function unreadable(file: string, error: unknown): Error {
  return fault("NOT_FOUND", `cannot read "${file}": ${errnoOf(error)}`, { cause: error });
}
