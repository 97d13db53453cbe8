// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import {
  closeSync,
  fsyncSync,
  openSync,
  rmSync,
  statfsSync,
  truncateSync,
  writeSync,
} from "node:fs";
import path from "node:path";
import { mount, unmount } from "../../src/base/os/mount.ts";

export type DiskKind = "ext4" | "tmpfs";

/** A file system of its own, small enough to be filled up. Unmounted when disposed. */
export interface SmallDisk extends Disposable {
  readonly target: string;
  /** Takes all space that is left, again and again if need be: what is given back is taken too. */
  fill(): void;
  /** Gives it back. */
  clear(): void;
  freeBytes(): number;
}

/** `image` is where an ext4's bytes are; it has no blocks kept for root. */
export function mountSmallDisk(
  kind: DiskKind,
  target: string,
  options: { readonly bytes: number; readonly image: string },
): SmallDisk {
  if (kind === "tmpfs") {
    const data = `size=${options.bytes},mode=0711`;
    mount({ source: "tmpfs", target, type: "tmpfs", flags: 0, data });
  } else {
    closeSync(openSync(options.image, "w"));
    truncateSync(options.image, options.bytes);
    execFileSync("mkfs.ext4", ["-q", "-m", "0", options.image]);
    execFileSync("mount", ["-o", "loop", options.image, target]);
  }
  const ballast = path.join(target, "ballast");
  return {
    target,
    fill: () => {
      const fd = openSync(ballast, "a");
      const bytes = Buffer.alloc(256 * 1024);
      try {
        for (let size = bytes.byteLength; size >= 1; ) {
          try {
            writeSync(fd, bytes, 0, size);
          } catch (error) {
            if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
            size = Math.floor(size / 4);
          }
        }
        fsyncSync(fd);
      } finally {
        closeSync(fd);
      }
    },
    clear: () => rmSync(ballast, { force: true }),
    freeBytes: () => {
      const { bavail, bsize } = statfsSync(target);
      return bavail * bsize;
    },
    [Symbol.dispose]: () => {
      unmount(target, { lazy: true });
      rmSync(options.image, { force: true });
    },
  };
}
