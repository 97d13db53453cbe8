// SPDX-License-Identifier: Apache-2.0
import { type FileHandle, mkdir, open } from "node:fs/promises";
import path from "node:path";
import type { Cancellable } from "../base/cancellable.ts";
import { errnoOf, fault } from "../base/errors.ts";
import { readForeign } from "../base/read-bounded.ts";
import { extractLayer } from "../images/unpack/extract-layer.ts";

/** A CRIU image has some files for each process. */
const maxEntries = 100_000;
/** For an archive that is compressed: pages of memory are not much smaller than that makes them. */
const maxRatio = 100;

/**
 * Makes `folder`, which is not there, from a tar, plain or compressed, in a chrooted process. The archive may come from
 * anywhere: INVALID_ARGUMENT when it is no regular file, holds anything but files and folders, or a name
 * that leads out; RESOURCE_EXHAUSTED when it holds too much. The folder holds rubbish after a failure. With `own` the archive
 * must be the daemon's user's, and nobody else may write to it: FAILED_PRECONDITION.
 */
export async function unpackArchive(
  file: string,
  folder: string,
  call: Cancellable,
  { own = false } = {},
): Promise<void> {
  await using archive = await openArchive(file);
  if (own) refuseOthers(file, await archive.stat());
  await mkdir(path.dirname(folder), { recursive: true, mode: 0o700 });
  await mkdir(folder, { mode: 0o700 });
  const { size } = await archive.stat();
  const plain = { entries: maxEntries, totalBytes: Math.max(size * maxRatio, 1024 * 1024) };
  // The open file, whatever has its name by now.
  const blob = `/proc/${process.pid}/fd/${archive.fd}`;
  await extractLayer({ blob, root: folder, whiteouts: "remove", plain }, call);
}

/** CRIU makes processes of what is in there, of any user and with any capability. */
function refuseOthers(file: string, { mode, uid }: { mode: number; uid: number }): void {
  if (uid === process.geteuid?.() && (mode & 0o022) === 0) return;
  throw fault("FAILED_PRECONDITION", `checkpoint "${file}" could be written by others than root`);
}

/** Opens what is a regular file; never waits for a FIFO, never follows a link. */
async function openArchive(file: string): Promise<FileHandle> {
  const archive = await open(file, readForeign).catch((error: unknown) => {
    const errno = errnoOf(error) ?? String(error);
    const code = errno === "ENOENT" ? "NOT_FOUND" : "INVALID_ARGUMENT";
    const what = errno === "ELOOP" ? "it is a symbolic link" : errno;
    throw fault(code, `checkpoint "${file}" cannot be read: ${what}`, { cause: error });
  });
  if ((await archive.stat()).isFile()) return archive;
  await archive.close();
  throw fault("INVALID_ARGUMENT", `checkpoint "${file}" is no regular file`);
}
