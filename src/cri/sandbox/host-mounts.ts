// SPDX-License-Identifier: Apache-2.0
import { mountSpec } from "../../base/os/mount.ts";
import { unmountBelow } from "../../base/os/mountinfo.ts";
import type { HostMounts } from "../ports.ts";

/** Mounts on this host, by system calls. */
export const hostMounts: HostMounts = {
  mountShm: (target, sizeBytes) =>
    mountSpec(
      {
        type: "tmpfs",
        source: "shm",
        options: ["nosuid", "nodev", "noexec", "mode=1777", `size=${sizeBytes}`],
      },
      target,
    ),
  mountReadOnly: (target, mounts) => {
    for (const { type, source, options, target: below } of mounts) {
      const flags = options.filter((option) => option !== "rw" && option !== "ro");
      mountSpec({ type, source, target: below, options: [...flags, "ro"] }, target);
    }
  },
  unmountBelow: async (path) => {
    await unmountBelow(path);
  },
};
