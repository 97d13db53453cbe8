// SPDX-License-Identifier: Apache-2.0
import { type FileHandle, open } from "node:fs/promises";
import type { Cancellable } from "../../base/cancellable.ts";
import { errnoOf } from "../../base/errors.ts";
import { invalid } from "../../base/invalid-field.ts";
import { readForeign } from "../../base/read-bounded.ts";
import {
  type AccountQuery,
  type FoundAccounts,
  searchAccounts,
} from "../../trees/accounts/passwd-file.ts";
import type { TreeWork } from "../../trees/ports.ts";
import { makeIfEmpty } from "./empty-folder.ts";
import { LayeredTree, only } from "./layered-tree.ts";
import type { RootfsReader } from "./ports.ts";
import type { RememberedFiles } from "./remembered-files.ts";

export interface RootfsServices {
  /** Does what would take the main thread too long. */
  readonly work: TreeWork;
  /** For layers that never change. */
  readonly files?: RememberedFiles;
}

/** A file of this length is read and looked through before a thread could have been asked. */
const smallBytes = 64 * 1024;
const mostBytes = 64 * 1024 * 1024;

/**
 * Opens an image's file system for reading: the folder of a mounted rootfs, or the folders of an
 * overlay's layers, topmost first, which saves the mount. The layers must not change meanwhile, which
 * holds for committed snapshots and for a fresh one that no process runs in yet.
 */
export function openRootfs(
  folders: string | readonly string[],
  { work, files }: RootfsServices,
): RootfsReader {
  const layers = typeof folders === "string" ? [folders] : folders;
  const tree = new LayeredTree(layers);
  return {
    searchAccounts: async (path, query, call) => {
      const known = files?.get(layers, path);
      if (known !== undefined) return searchAccounts(query, known.bytes);
      await using file = await openFile(tree, path);
      const size = file === undefined ? 0 : (await file.stat()).size;
      if (file !== undefined && size > smallBytes) {
        return await searchLong({ file, size, path }, query, call); // while the file is open
      }
      const bytes = await file?.readFile();
      files?.keep(layers, path, bytes);
      return searchAccounts(query, bytes);
    },
    copyDirectory: async (path, destination, { mappings, plain, most }, call) => {
      const found = await tree.lookup(path);
      if (found === undefined || found.kind !== "directory") return undefined;
      if (await makeIfEmpty(found.hostPaths, destination, mappings)) return { bytes: 0, inodes: 1 };
      const request = {
        layers: found.hostPaths.map((folder) => folder.toString("latin1")),
        destination: Buffer.from(destination).toString("latin1"),
        ...(mappings && { mappings }),
        ...(plain && { plainEntries: 100_000 }),
        ...(most && { most }),
      };
      return work.run("copy", request, call);
    },
  };

  async function searchLong(
    {
      file,
      size,
      path,
    }: { readonly file: FileHandle; readonly size: number; readonly path: string },
    query: AccountQuery,
    call: Cancellable,
  ): Promise<FoundAccounts> {
    if (size > mostBytes) {
      throw invalid("image", `${path} has ${size} bytes, more than ${mostBytes}`);
    }
    return work.run("search", { fd: file.fd, query }, call);
  }
}

/** Undefined when there is no regular file. */
async function openFile(tree: LayeredTree, path: string): Promise<FileHandle | undefined> {
  const found = await tree.lookup(path);
  if (found === undefined || found.kind !== "file") return undefined;
  // Lookup saw a regular file; these flags hold even if it were not one any more.
  const file = await open(only(found), readForeign).catch((error: unknown) => {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  });
  if (file === undefined || (await file.stat()).isFile()) return file;
  await file.close();
  return undefined;
}
