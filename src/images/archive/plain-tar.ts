// SPDX-License-Identifier: Apache-2.0
import { type FileHandle, mkdir, open, statfs, unlink } from "node:fs/promises";
import path from "node:path";
import type { Cancellable } from "../../base/cancellable.ts";
import { fault } from "../../base/errors.ts";
import { decompress, magicBytes, readableCompression } from "../unpack/decompress.ts";

/** What an archive must leave free of its file system, and how often that is looked at. */
const keptFree = 0.1;
const lookEveryBytes = 64 * 1024 * 1024;

/**
 * The archive itself when it is plain; else a file in `scratchFolder` with the inflated archive, which has no name,
 * so that it goes with its descriptor. RESOURCE_EXHAUSTED when the disk would be nearly full.
 */
export async function plainTar(
  file: FileHandle,
  scratchFolder: string,
  { signal }: Cancellable,
): Promise<FileHandle> {
  const start = Buffer.alloc(magicBytes);
  await file.read(start, 0, start.length, 0);
  const compression = readableCompression(start);
  if (compression === "none") return file;
  await mkdir(scratchFolder, { recursive: true, mode: 0o700 });
  const name = path.join(scratchFolder, crypto.randomUUID());
  await using undo = new AsyncDisposableStack();
  const plain = undo.use(await open(name, "wx+", 0o600));
  await unlink(name);
  const source = file.createReadStream({ start: 0, autoClose: false, signal });
  let bytes = 0;
  let looked = 0;
  for await (const chunk of decompress(source, compression)) {
    signal.throwIfAborted();
    if (bytes >= looked) {
      await checkSpace(scratchFolder);
      looked = bytes + lookEveryBytes;
    }
    await plain.writeFile(chunk);
    bytes += chunk.length;
  }
  undo.move();
  return plain;
}

async function checkSpace(folder: string): Promise<void> {
  const { bavail, blocks } = await statfs(folder);
  if (bavail >= blocks * keptFree) return;
  throw fault("RESOURCE_EXHAUSTED", "the disk is too full to unpack the archive");
}
