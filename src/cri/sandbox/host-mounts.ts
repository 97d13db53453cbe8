// SPDX-License-Identifier: Apache-2.0
import { isMapped, type MappedMountOptions, mountMapped } from "../../base/os/mapped-mount.ts";
import { mountSpec, unmount } from "../../base/os/mount.ts";
import { unmountBelow } from "../../base/os/mount-table.ts";
import type { HostMounts } from "../ports.ts";

/** Mounts on this host, by system calls. */
export function createHostMounts(mapped: MappedMountOptions): HostMounts {
  return {
    mountShm: (target, sizeBytes, { uid, gid }) =>
      mountSpec(
        {
          type: "tmpfs",
          source: "shm",
          options: [
            "nosuid",
            "nodev",
            "noexec",
            "mode=1777",
            `size=${sizeBytes}`,
            ...(uid === 0 && gid === 0 ? [] : [`uid=${uid}`, `gid=${gid}`]),
          ],
        },
        target,
      ),
    unmountShm: (target) => {
      unmount(target, { lazy: true });
    },
    mountReadOnly: async (target, mounts) => {
      for (const { type, source, options, target: below } of mounts) {
        const flags = options.filter((option) => option !== "rw" && option !== "ro");
        const mount = { type, source, target: below, options: [...flags, "ro"] };
        if (isMapped(mount)) await mountMapped(mount, target, mapped);
        else mountSpec(mount, target);
      }
    },
    unmountBelow: async (path) => {
      await unmountBelow(path);
    },
  };
}
