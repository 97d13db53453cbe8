// SPDX-License-Identifier: Apache-2.0
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, readdir, rm, stat } from "node:fs/promises";
import path from "node:path";
import { pipeline } from "node:stream/promises";
import tar from "tar-stream";
import type { Cancellable } from "../base/cancellable.ts";
import { fault } from "../base/errors.ts";

/** A folder as a tar, files and folders only: that is all that a CRIU image has. */
export async function* packFolder(folder: string): AsyncGenerator<Uint8Array, void, undefined> {
  const pack = tar.pack();
  const filling = fill(pack, folder).catch((error: unknown) => pack.destroy(error as Error));
  for await (const chunk of pack) yield chunk as Uint8Array;
  await filling;
}

async function fill(pack: tar.Pack, folder: string): Promise<void> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  for (const entry of entries) {
    const file = path.join(entry.parentPath, entry.name);
    const name = path.relative(folder, file);
    const { mode, size, mtime } = await stat(file);
    const header = { name, mode: mode & 0o7777, mtime };
    if (entry.isDirectory()) pack.entry({ ...header, type: "directory" });
    else if (entry.isFile()) {
      await pipeline(createReadStream(file), pack.entry({ ...header, type: "file", size }));
    }
  }
  pack.finalize();
}

/**
 * Makes `folder` anew from a tar. The archive may come from anywhere, so a name that leads out of the
 * folder, or an entry that is neither file nor folder, is INVALID_ARGUMENT.
 */
export async function unpackArchive(
  file: string,
  folder: string,
  call: Cancellable,
): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const extract = tar.extract();
  const reading = pipeline(createReadStream(file), extract, { signal: call.signal });
  reading.catch(() => {}); // the loop below meets the same error first
  for await (const entry of extract) {
    const { name, type, mode } = entry.header;
    const target = path.join(folder, name);
    if (path.isAbsolute(name) || path.relative(folder, target).startsWith("..")) {
      throw fault("INVALID_ARGUMENT", `checkpoint entry "${name}" leads out of its folder`);
    }
    if (type === "directory") {
      await mkdir(target, { recursive: true, mode: 0o700 });
      entry.resume();
    } else if (type === "file") {
      await mkdir(path.dirname(target), { recursive: true, mode: 0o700 });
      await pipeline(
        entry,
        createWriteStream(target, { flags: "wx", mode: (mode ?? 0o600) & 0o777 }),
      );
    } else {
      throw fault("INVALID_ARGUMENT", `checkpoint entry "${name}" is a ${type ?? "mystery"}`);
    }
  }
  await reading;
}
