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
import type { LayeredTree, TreeNode } from "./layered-tree.ts";

/**
 * Copies a merged directory to a host directory: files, directories and links with their owners,
 * modes and times. Devices, FIFOs and sockets are left out. Links are copied, never followed.
 */
export async function copyLayerDirectory(
  tree: LayeredTree,
  directory: TreeNode,
  destination: string,
): Promise<void> {
  await mkdir(destination, { recursive: true, mode: 0o700 });
  for (const name of await tree.names(directory)) {
    const node = await tree.child(directory, name);
    if (node !== undefined) await copyNode(tree, node, `${destination}/${name}`);
  }
  await copyAttributes(directory, destination);
}

async function copyNode(tree: LayeredTree, node: TreeNode, destination: string): Promise<void> {
  const source = node.hostPaths[0] ?? "";
  switch (node.kind) {
    case "directory":
      return copyLayerDirectory(tree, node, destination);
    case "file":
      await copyFile(source, destination);
      return copyAttributes(node, destination);
    case "symlink":
      await symlink(await readlink(source), destination);
      return copyAttributes(node, destination);
    case "other":
      return;
    default:
      node.kind satisfies never;
  }
}

async function copyAttributes(node: TreeNode, destination: string): Promise<void> {
  const { uid, gid, mode, atime, mtime } = await lstat(node.hostPaths[0] ?? "");
  await lchown(destination, uid, gid);
  // After chown, which clears the set-id bits.
  if (node.kind !== "symlink") await chmod(destination, mode & 0o7777);
  await lutimes(destination, atime, mtime);
}
