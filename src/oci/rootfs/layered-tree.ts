// SPDX-License-Identifier: Apache-2.0
import type { Stats } from "node:fs";
import { lstat, readlink } from "node:fs/promises";
import { errnoOf } from "../../base/errors.ts";
import { invalid } from "../../base/invalid-field.ts";
import { isWhiteout } from "../../base/os/overlay.ts";
import { readXattr } from "../../base/os/xattr.ts";

/** Where the kernel gives up, too. */
const maxLinks = 40;
/** Names that one look-up may go through; each link's target has up to 2,000. */
const maxNames = 1024;

export type NodeKind = "file" | "directory" | "symlink" | "other";

/** One thing in the merged tree; for a directory, its folder in every layer that has a part of it. */
export interface TreeNode {
  readonly kind: NodeKind;
  /** As bytes, topmost first; exactly one unless a directory. */
  readonly hostPaths: readonly Buffer[];
}

/**
 * The merged view of overlay layers, read without mounting them: an upper layer hides what is below,
 * a whiteout (character device 0:0) removes it, an opaque directory hides the lower directories.
 *
 * Links are resolved here, name by name, and never by the kernel: every component is looked at with
 * lstat inside the layers, `..` stops at the root, and an absolute target starts at the image's root.
 * So no link in an image can lead to a file of the host. The layers must not change meanwhile.
 */
export class LayeredTree {
  readonly #root: TreeNode;

  constructor(layers: readonly string[]) {
    this.#root = { kind: "directory", hostPaths: layers.map((layer) => Buffer.from(layer)) };
  }

  /** What the root has by that name, a link not followed. */
  entry(name: string): Promise<TreeNode | undefined> {
    return child(this.#root, Buffer.from(name).toString("latin1"));
  }

  /** Follows links; undefined when there is nothing. */
  async lookup(path: string): Promise<TreeNode | undefined> {
    // Names are bytes, one character each.
    const pending = split(Buffer.from(path)).toReversed();
    const trail: TreeNode[] = [this.#root];
    let [links, names] = [0, 0];
    for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
      names += 1;
      if (names > maxNames) throw invalid("image", `${path} goes through too many folders`);
      if (name === "..") {
        if (trail.length > 1) trail.pop();
        continue;
      }
      const here = trail.at(-1) ?? this.#root;
      const node = here.kind === "directory" ? await child(here, name) : undefined;
      if (node === undefined) return undefined;
      if (node.kind !== "symlink") {
        trail.push(node);
        continue;
      }
      links += 1;
      if (links > maxLinks) throw invalid("image", `${path} goes through too many symbolic links`);
      const target = await readlink(only(node), "buffer");
      if (target[0] === slash) trail.length = 1;
      pending.push(...split(target).toReversed());
    }
    return trail.at(-1);
  }
}

const slash = 0x2f;

/** Where a node that is no directory lies. */
export function only({ hostPaths: [hostPath] }: TreeNode): Buffer {
  return hostPath ?? Buffer.alloc(0);
}

/** The entry of a directory, links not followed. */
async function child(directory: TreeNode, name: string): Promise<TreeNode | undefined> {
  const folders: Buffer[] = [];
  for (const folder of directory.hostPaths) {
    const hostPath = Buffer.concat([folder, Buffer.from(`/${name}`, "latin1")]);
    const kind = await kindAt(hostPath);
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

/** Overlayfs hides the lower layers' directories of the same name below such a one. */
function isOpaque(directory: Buffer): boolean {
  return readXattr(directory, "trusted.overlay.opaque", 1)?.toString() === "y";
}

async function kindAt(path: Buffer): Promise<NodeKind | "whiteout" | undefined> {
  try {
    return kindOf(await lstat(path));
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT" || errno === "ENOTDIR" || errno === "ENAMETOOLONG") return undefined;
    throw error;
  }
}

function kindOf(stat: Stats): NodeKind | "whiteout" {
  if (stat.isFile()) return "file";
  if (stat.isDirectory()) return "directory";
  if (stat.isSymbolicLink()) return "symlink";
  return isWhiteout(stat) ? "whiteout" : "other";
}

function split(path: Buffer): string[] {
  return path
    .toString("latin1")
    .split("/")
    .filter((part) => part !== "" && part !== ".");
}
