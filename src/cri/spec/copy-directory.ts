// SPDX-License-Identifier: Apache-2.0
import {
  chmod,
  copyFile,
  lchown,
  lstat,
  lutimes,
  mkdir,
  readlink,
  symlink,
} from "node:fs/promises";
import { hostId, type IdMappings } from "../../base/os/id-mapping.ts";
import type { LayeredTree, TreeNode } from "./layered-tree.ts";

export interface CopySource {
  readonly tree: LayeredTree;
  /** Undefined for owners as they are. */
  readonly mappings: IdMappings | undefined;
}

/**
 * Copies a merged directory to a host directory: files, directories and links with their owners,
 * modes and times. Devices, FIFOs and sockets are left out. Links are copied, never followed.
 */
export async function copyLayerDirectory(
  from: CopySource,
  directory: TreeNode,
  destination: string,
): Promise<void> {
  await mkdir(destination, { recursive: true, mode: 0o700 });
  for (const name of await from.tree.names(directory)) {
    const node = await from.tree.child(directory, name);
    if (node !== undefined) await copyNode(from, node, `${destination}/${name}`);
  }
  await copyAttributes(from, directory, destination);
}

async function copyNode(from: CopySource, node: TreeNode, destination: string): Promise<void> {
  const source = node.hostPaths[0] ?? "";
  switch (node.kind) {
    case "directory":
      return copyLayerDirectory(from, node, destination);
    case "file":
      await copyFile(source, destination);
      return copyAttributes(from, node, destination);
    case "symlink":
      await symlink(await readlink(source), destination);
      return copyAttributes(from, node, destination);
    case "other":
      return;
    default:
      node.kind satisfies never;
  }
}

async function copyAttributes(
  { mappings }: CopySource,
  node: TreeNode,
  destination: string,
): Promise<void> {
  const { uid, gid, mode, atime, mtime } = await lstat(node.hostPaths[0] ?? "");
  if (mappings === undefined) await lchown(destination, uid, gid);
  else await lchown(destination, hostId(mappings.uids, uid), hostId(mappings.gids, gid));
  // After chown, which clears the set-id bits.
  if (node.kind !== "symlink") await chmod(destination, mode & 0o7777);
  await lutimes(destination, atime, mtime);
}
