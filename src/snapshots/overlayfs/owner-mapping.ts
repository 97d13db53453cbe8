// SPDX-License-Identifier: Apache-2.0
import { mkdir, mkdtemp, rm, rmdir } from "node:fs/promises";
import path from "node:path";
import type { Logger } from "../../base/logger.ts";
import { removeEmptyFolder } from "../../base/os/empty-folder.ts";
import { mappingOptions, mountMapped } from "../../base/os/mapped-mount.ts";
import { mountSpec, unmount } from "../../base/os/mount.ts";
import { unmountBelow } from "../../base/os/mount-table.ts";
import type { TypesMount } from "../../gen/types.gen.ts";
import type { RemovesTrees } from "../../trees/ports.ts";
import type { OwnerMapping } from "../folder-snapshotter.ts";
import { giveToMapped } from "./give-to-mapped.ts";

export interface OwnerMappingOptions {
  /** The snapshotter's folder: its file system has to be able to do it. */
  readonly root: string;
  /** The pause program. */
  readonly program: string;
  readonly trees: RemovesTrees;
  readonly log: Logger;
}

/**
 * Owners are mapped by mounts where the kernel (5.19) and the file system can, which is tried once, when
 * it is first wanted. Where they cannot, all files of the image are given to the mapped owners in the
 * snapshot, which copies them.
 */
export async function createOwnerMapping(options: OwnerMappingOptions): Promise<OwnerMapping> {
  const { root, program, trees, log } = options;
  const scratchFolder = path.join(root, "scratch-mounts");
  const isGone = await removeEmptyFolder(scratchFolder);
  if (!isGone) await unmountBelow(scratchFolder).catch(() => {}); // what stays mounted is detached as it is removed
  await trees.sweep(root);
  if (!isGone) await rmdir(scratchFolder).catch(() => trees.remove(scratchFolder));
  let known: Promise<boolean> | undefined;
  const attempt = async (): Promise<boolean> => {
    await using scratch = await openScratch(scratchFolder);
    try {
      await mountMapped(await trial(scratch.folder), scratch.target, { program, scratchFolder });
      return true;
    } catch (err) {
      log.warn({ err, root }, "layers cannot be mounted with mapped owners: they are copied");
      return false;
    }
  };
  return {
    canMap: () => (known ??= attempt()),
    copy: async (mounts, mappings, call) => {
      await using scratch = await openScratch(scratchFolder);
      for (const mount of mounts) mountSpec(mount, scratch.target);
      await giveToMapped(Buffer.from(scratch.target), mappings, call);
    },
  };
}

/** A folder with a mount point in it. */
interface Scratch extends AsyncDisposable {
  readonly folder: string;
  readonly target: string;
}

async function openScratch(scratchFolder: string): Promise<Scratch> {
  await mkdir(scratchFolder, { recursive: true, mode: 0o700 });
  const folder = await mkdtemp(path.join(scratchFolder, "mount-"));
  const target = path.join(folder, "target");
  await mkdir(target);
  return {
    folder,
    target,
    [Symbol.asyncDispose]: async () => {
      while (unmount(target, { lazy: true }));
      await rmdir(target); // never through a mount
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function trial(folder: string): Promise<TypesMount> {
  const place = (name: string): string => path.join(folder, name);
  for (const name of ["lower", "upper", "work"]) await mkdir(place(name));
  const ids = [{ containerID: 0, hostID: 65_536, size: 65_536 }];
  const options = [
    `workdir=${place("work")}`,
    `upperdir=${place("upper")}`,
    `lowerdir=${place("lower")}`,
    ...mappingOptions({ uids: ids, gids: ids }),
  ];
  return { type: "overlay", source: "overlay", target: "", options };
}
