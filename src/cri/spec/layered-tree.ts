// SPDX-License-Identifier: Apache-2.0
import { lstat, readdir, readlink } from "node:fs/promises";
import { errnoOf } from "../../base/errors.ts";
import { readXattr } from "../../base/os/xattr.ts";
import { invalid } from "./invalid.ts";

/** Where the kernel gives up, too. */
const maxLinks = 40;

export type NodeKind = "file" | "directory" | "symlink" | "other";

/** One thing in the merged tree; for a directory, its folder in every layer that has a part of it. */
export interface TreeNode {
  readonly kind: NodeKind;
  /** Topmost first; exactly one unless a directory. */
  readonly hostPaths: readonly string[];
}

/**
 * The merged view of overlay layers, read without mounting them: an upper layer hides what is below,
 * a whiteout (character device 0:0) removes it, an opaque directory hides the lower directories.
 *
 * Links are resolved here, name by name, and never by the kernel: every component is looked at with
 * lstat inside the layers, `..` stops at the root, and an absolute target starts at the image's root.
 * So no link in an image can lead to a file of the host.
 */
export class LayeredTree {
  readonly #root: TreeNode;

  constructor(layers: readonly string[]) {
    this.#root = { kind: "directory", hostPaths: layers };
  }

  /** Follows links; undefined when there is nothing. */
  async lookup(path: string): Promise<TreeNode | undefined> {
    const pending = split(path).toReversed();
    const trail: TreeNode[] = [this.#root];
    let links = 0;
    for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
      if (name === "..") {
        if (trail.length > 1) trail.pop();
        continue;
      }
      const here = trail.at(-1) ?? this.#root;
      const node = here.kind === "directory" ? await this.child(here, name) : undefined;
      if (node === undefined) return undefined;
      if (node.kind !== "symlink") {
        trail.push(node);
        continue;
      }
      links += 1;
      if (links > maxLinks) throw invalid("image", `${path} goes through too many symbolic links`);
      const target = await readlink(node.hostPaths[0] ?? "");
      if (target.startsWith("/")) trail.length = 1;
      pending.push(...split(target).toReversed());
    }
    return trail.at(-1);
  }

  /** The entry of a directory, links not followed. */
  async child(directory: TreeNode, name: string): Promise<TreeNode | undefined> {
    const folders: string[] = [];
    for (const folder of directory.hostPaths) {
      const hostPath = `${folder}/${name}`;
      const kind = await kindOf(hostPath);
      if (kind === undefined) continue;
      if (kind === "whiteout") break;
      if (kind !== "directory") {
        if (folders.length > 0) break;
        return { kind, hostPaths: [hostPath] };
      }
      folders.push(hostPath);
      if (isOpaque(hostPath)) break;
    }
    return folders.length === 0 ? undefined : { kind: "directory", hostPaths: folders };
  }

  /** Names of a directory's entries, without those that a whiteout removed. */
  async names(directory: TreeNode): Promise<string[]> {
    const all = new Set<string>();
    for (const folder of directory.hostPaths) {
      for (const name of await readdir(folder)) all.add(name);
    }
    const present: string[] = [];
    for (const name of [...all].sort()) {
      if ((await this.child(directory, name)) !== undefined) present.push(name);
    }
    return present;
  }
}

/** Overlayfs hides the lower layers' directories of the same name below such a one. */
function isOpaque(directory: string): boolean {
  return readXattr(directory, "trusted.overlay.opaque", 1)?.toString() === "y";
}

async function kindOf(path: string): Promise<NodeKind | "whiteout" | undefined> {
  try {
    const stat = await lstat(path);
    if (stat.isFile()) return "file";
    if (stat.isDirectory()) return "directory";
    if (stat.isSymbolicLink()) return "symlink";
    return stat.isCharacterDevice() && stat.rdev === 0 ? "whiteout" : "other";
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT" || errno === "ENOTDIR" || errno === "ENAMETOOLONG") return undefined;
    throw error;
  }
}

function split(path: string): string[] {
  return path.split("/").filter((part) => part !== "" && part !== ".");
}
