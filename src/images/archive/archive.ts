// SPDX-License-Identifier: Apache-2.0
import { constants } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import type { Readable } from "node:stream";
import type { Cancellable } from "../../base/cancellable.ts";
import { errnoOf, fault } from "../../base/errors.ts";
import { FolderArchive } from "./folder-archive.ts";
import { plainTar } from "./plain-tar.ts";
import { indexTar, TarArchive } from "./tar-archive.ts";

/** Named files of a folder or of a tar archive. */
export interface Archive extends AsyncDisposable {
  /** undefined when there is no such file. */
  open(name: string): Promise<ArchivedFile | undefined>;
}

export interface ArchivedFile {
  readonly sizeBytes: number;
  /** Its bytes, once. */
  stream(): Readable;
}

/**
 * Opens an archive by its path; a compressed tar is unpacked into a file of the folder `scratchFolder` first.
 * NOT_FOUND, INVALID_ARGUMENT for what is neither a file nor a folder.
 */
export async function openArchive(
  file: string,
  scratchFolder: string,
  call: Cancellable,
): Promise<Archive> {
  const found = await stat(file).catch((error: unknown) => {
    throw unreadable(file, error);
  });
  if (found.isDirectory()) return FolderArchive.open(file);
  await using stack = new AsyncDisposableStack();
  const given = await openFile(file);
  stack.use(given);
  const plain = await plainTar(given, scratchFolder, call);
  if (plain !== given) stack.use(plain);
  const members = await indexTar(plain, call);
  return new TarArchive(plain, members, stack.move());
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
