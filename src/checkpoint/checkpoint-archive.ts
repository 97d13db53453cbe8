// SPDX-License-Identifier: Apache-2.0
import { constants } from "node:fs";
import { type FileHandle, mkdir, open, opendir } from "node:fs/promises";
import path from "node:path";
import type { Cancellable } from "../base/cancellable.ts";
import { errnoOf, fault } from "../base/errors.ts";
import { plainMember, tarEnd, tarHeader, tarPadding } from "../images/tar/tar-writer.ts";
import { extractLayer } from "../images/unpack/extract-layer.ts";

const chunkBytes = 256 * 1024;
const readFile = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** A folder as a tar, files and folders only: that is all that a CRIU image has. All in it belongs to root. */
export async function* packFolder(folder: string): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const entry of await opendir(folder, { recursive: true })) {
    if (!entry.isDirectory() && !entry.isFile()) continue;
    const file = path.join(entry.parentPath, entry.name);
    const name = Buffer.from(path.relative(folder, file)).toString("latin1");
    await using handle = await open(file, readFile);
    const { mode, size, mtimeMs } = await handle.stat();
    const member = {
      ...plainMember,
      mode: mode & 0o7777,
      mtime: { seconds: Math.floor(mtimeMs / 1000), nanos: 0 },
    };
    if (entry.isDirectory()) yield tarHeader({ ...member, type: "directory", name: `${name}/` });
    else {
      yield tarHeader({ ...member, type: "file", name, size });
      yield* contentOf(handle, file, size);
      yield tarPadding(size);
    }
  }
  yield tarEnd;
}

/** Exactly `size` bytes, which the header has told. ABORTED when there are fewer. */
async function* contentOf(
  handle: FileHandle,
  file: string,
  size: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  for (let done = 0; done < size; ) {
    const chunk = Buffer.allocUnsafe(Math.min(chunkBytes, size - done));
    const { bytesRead } = await handle.read(chunk, 0, chunk.length, done);
    if (bytesRead === 0) throw fault("ABORTED", `file "${file}" shrank while it was read`);
    yield chunk.subarray(0, bytesRead);
    done += bytesRead;
  }
}

/** A CRIU image has some files for each process. */
const maxEntries = 100_000;
/** For an archive that is compressed: pages of memory are not much smaller than that makes them. */
const maxRatio = 100;

/**
 * Makes `folder`, which is not there, from a tar, plain or compressed, in a chrooted process. The archive may come from
 * anywhere: INVALID_ARGUMENT when it is no regular file, holds anything but files and folders, or a name
 * that leads out; RESOURCE_EXHAUSTED when it holds too much. The folder holds rubbish after a failure.
 */
export async function unpackArchive(
  file: string,
  folder: string,
  call: Cancellable,
): Promise<void> {
  await using archive = await openArchive(file);
  await mkdir(path.dirname(folder), { recursive: true, mode: 0o700 });
  await mkdir(folder, { mode: 0o700 });
  const { size } = await archive.stat();
  const plain = { entries: maxEntries, totalBytes: Math.max(size * maxRatio, 1024 * 1024) };
  // The open file, whatever has its name by now.
  const blob = `/proc/${process.pid}/fd/${archive.fd}`;
  await extractLayer({ blob, root: folder, whiteouts: "remove", plain }, call);
}

/** Opens what is a regular file; never waits for a FIFO, never follows a link. */
async function openArchive(file: string): Promise<FileHandle> {
  const archive = await open(file, readFile).catch((error: unknown) => {
    const errno = errnoOf(error) ?? String(error);
    const code = errno === "ENOENT" ? "NOT_FOUND" : "INVALID_ARGUMENT";
    const what = errno === "ELOOP" ? "it is a symbolic link" : errno;
    throw fault(code, `checkpoint "${file}" cannot be read: ${what}`, { cause: error });
  });
  if ((await archive.stat()).isFile()) return archive;
  await archive.close();
  throw fault("INVALID_ARGUMENT", `checkpoint "${file}" is no regular file`);
}
