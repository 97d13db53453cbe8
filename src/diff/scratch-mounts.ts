// SPDX-License-Identifier: Apache-2.0
import { mkdir, mkdtemp, rm, rmdir } from "node:fs/promises";
import path from "node:path";
import { removeEmptyFolder } from "../base/os/empty-folder.ts";
import { withoutMapping } from "../base/os/mapped-mount.ts";
import { mountSpec, unmount } from "../base/os/mount.ts";
import { unmountBelow } from "../base/os/mount-table.ts";
import type { TypesMount } from "../gen/types.gen.ts";
import type { RemovesTrees } from "../trees/ports.ts";

/** A folder for mount points and temporary files. Disposing unmounts and removes all of it. */
export interface ScratchMounts extends AsyncDisposable {
  readonly folder: string;
  /** Mounts these on a folder of that name, with owners of files as on the disk, and answers its path. */
  mount(name: string, mounts: readonly TypesMount[]): Promise<string>;
}

/** Makes one below `base`, which is made when it is missing. */
export async function openScratchMounts(base: string): Promise<ScratchMounts> {
  await mkdir(base, { recursive: true, mode: 0o700 });
  const folder = await mkdtemp(path.join(base, "room-"));
  const points: { readonly at: string; count: number }[] = [];
  return {
    folder,
    mount: async (name, mounts) => {
      const at = path.join(folder, name);
      await mkdir(at);
      const point = { at, count: 0 };
      points.push(point);
      for (const mount of mounts) {
        mountSpec(withoutMapping(mount), at);
        point.count += 1;
      }
      return at;
    },
    [Symbol.asyncDispose]: async () => {
      for (const { at, count } of points.reverse()) {
        for (let left = count; left > 0; left -= 1) unmount(at, { lazy: true });
        await rmdir(at); // never through a mount
      }
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Removes what a crash has left below `base`, mostly nothing: the table of mounts is long. Call it before any is opened. Never rejects. */
export async function clearScratchMounts(base: string, trees: RemovesTrees): Promise<void> {
  if (await removeEmptyFolder(base)) return;
  await unmountBelow(base).catch(() => {}); // what stays mounted is detached as it is removed
  await rmdir(base).catch(() => trees.remove(base));
}
