// SPDX-License-Identifier: Apache-2.0
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { errnoOf } from "../../base/errors.ts";
import { copyLayerDirectory } from "./copy-directory.ts";
import { invalid } from "./invalid.ts";
import { LayeredTree } from "./layered-tree.ts";
import type { RootfsReader } from "./ports.ts";

/**
 * Opens an image's file system for reading: the folder of a mounted rootfs, or the folders of an
 * overlay's layers, topmost first, which saves the mount. The layers must not change meanwhile, which
 * holds for committed snapshots and for a fresh one that no process runs in yet.
 */
export function openRootfs(layers: string | readonly string[]): RootfsReader {
  const tree = new LayeredTree(typeof layers === "string" ? [layers] : layers);
  return {
    readFile: async (path, maxBytes) => {
      const found = await tree.lookup(path);
      if (found === undefined || found.kind !== "file") return undefined;
      return readBounded(found.hostPaths[0] ?? "", path, maxBytes);
    },
    copyDirectory: async (path, destination, mappings) => {
      const found = await tree.lookup(path);
      if (found === undefined || found.kind !== "directory") return false;
      await copyLayerDirectory({ tree, mappings }, found, destination);
      return true;
    },
  };
}

async function readBounded(
  hostPath: string,
  path: string,
  maxBytes: number,
): Promise<Uint8Array | undefined> {
  // Lookup saw a regular file; these flags hold even if it were not one any more.
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const file = await open(hostPath, flags).catch((error: unknown) => {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  });
  if (file === undefined) return undefined;
  try {
    const { size } = await file.stat();
    if (size > maxBytes) {
      throw invalid("image", `${path} has ${size} bytes, more than ${maxBytes}`);
    }
    return await file.readFile();
  } finally {
    await file.close();
  }
}
