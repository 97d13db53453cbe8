// SPDX-License-Identifier: Apache-2.0
import { type FileHandle, open, opendir } from "node:fs/promises";
import path from "node:path";
import { fault } from "../base/errors.ts";
import { readForeign } from "../base/read-bounded.ts";
import { plainMember, tarEnd, tarHeader, tarPadding } from "../images/tar/tar-writer.ts";

const chunkBytes = 256 * 1024;

/**
 * A folder as a tar, files and folders only: that is all that a CRIU image has. All in it belongs to root. For the
 * child process and for tests: a container decides how much there is.
 */
export async function* packFolder(folder: string): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const entry of await opendir(folder, { recursive: true })) {
    if (!entry.isDirectory() && !entry.isFile()) continue;
    const file = path.join(entry.parentPath, entry.name);
    const name = Buffer.from(path.relative(folder, file)).toString("latin1");
    await using handle = await open(file, readForeign);
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
