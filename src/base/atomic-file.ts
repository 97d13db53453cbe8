// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from "node:crypto";
import { open, rename, rm } from "node:fs/promises";
import path from "node:path";

export interface AtomicFileOptions {
  /** Permission bits of the new file; the umask applies. Default 0600. */
  readonly mode?: number;
}

/**
 * Replaces a file so that a reader, and a machine that loses power, sees the old content or the new
 * one and never a mixture: write beside it, fsync, rename, fsync the folder.
 */
export async function writeFileAtomic(
  file: string,
  data: string | Uint8Array,
  options: AtomicFileOptions = {},
): Promise<void> {
  const beside = `${file}.${randomBytes(6).toString("hex")}.tmp`;
  try {
    {
      await using handle = await open(beside, "wx", options.mode ?? 0o600);
      await handle.writeFile(data);
      await handle.sync();
    }
    await rename(beside, file);
  } catch (error) {
    await rm(beside, { force: true });
    throw error;
  }
  await syncDirectory(path.dirname(file));
}

/** Makes the names in a folder durable: needed after a rename or a create that must survive a crash. */
export async function syncDirectory(directory: string): Promise<void> {
  await using handle = await open(directory, "r");
  await handle.sync();
}
