// SPDX-License-Identifier: Apache-2.0
import { createReadStream } from "node:fs";
import { lstat, readdir, readlink } from "node:fs/promises";
import path from "node:path";
import type { Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { type Header, type Pack, pack } from "tar-stream";
import { errnoOf, fault } from "../../base/errors.ts";

/** Writes a file or folder as a tar archive in which it is called `name`. Sockets, pipes and devices are left out. */
export async function packTree(source: string, name: string, sink: Writable): Promise<void> {
  const archive = pack();
  const written = pipeline(archive, sink);
  try {
    await add(archive, source, name);
    archive.finalize();
  } catch (error) {
    archive.destroy(error as Error);
    await written.catch(() => {}); // the same error
    throw error;
  }
  await written;
}

async function add(archive: Pack, file: string, name: string): Promise<void> {
  const info = await lstat(file).catch((cause: unknown) => {
    if (errnoOf(cause) !== "ENOENT") throw cause;
    throw fault("NOT_FOUND", `${file} not found`, { cause });
  });
  const common = {
    name,
    mode: info.mode & 0o7777,
    mtime: info.mtime,
    uid: info.uid,
    gid: info.gid,
  };
  if (info.isDirectory()) {
    await entry(archive, { ...common, type: "directory" });
    for (const child of (await readdir(file)).sort()) {
      await add(archive, path.join(file, child), `${name}/${child}`);
    }
  } else if (info.isSymbolicLink()) {
    await entry(archive, { ...common, type: "symlink", linkname: await readlink(file) });
  } else if (info.isFile()) {
    const body = archive.entry({ ...common, type: "file", size: info.size });
    // No more than was announced: the file may be growing.
    const end = Math.max(0, info.size - 1);
    if (info.size === 0) body.end(Buffer.alloc(0));
    else await pipeline(createReadStream(file, { end }), body);
  }
}

function entry(archive: Pack, header: Partial<Header> & Pick<Header, "name">): Promise<void> {
  return new Promise((resolve, reject) => {
    archive.entry(header, (error) => (error ? reject(error) : resolve()));
  });
}
