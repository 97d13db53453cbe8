// SPDX-License-Identifier: Apache-2.0
import type { OciMount } from "./spec.ts";

const flags = ["nosuid", "noexec", "nodev"];

/** The kernel file systems every container gets. A function: specs are changed as they are built. */
export function defaultMounts(): OciMount[] {
  return [
    { destination: "/proc", type: "proc", source: "proc", options: [...flags] },
    {
      destination: "/dev",
      type: "tmpfs",
      source: "tmpfs",
      options: ["nosuid", "strictatime", "mode=755", "size=65536k"],
    },
    {
      destination: "/dev/pts",
      type: "devpts",
      source: "devpts",
      options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    },
    {
      destination: "/dev/shm",
      type: "tmpfs",
      source: "shm",
      options: [...flags, "mode=1777", "size=65536k"],
    },
    { destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: [...flags] },
    { destination: "/sys", type: "sysfs", source: "sysfs", options: [...flags, "ro"] },
  ];
}

/** The host's mount of the cgroup tree, as `cgroupMount` would have it. */
export function boundCgroups(writable: boolean): OciMount {
  const { destination, options = [] } = cgroupMount(writable);
  return {
    destination,
    type: "bind",
    source: destination,
    options: ["rbind", "rprivate", ...options],
  };
}

/** The cgroup tree, read-only unless the container may manage its own. */
export function cgroupMount(writable: boolean): OciMount {
  return {
    destination: "/sys/fs/cgroup",
    type: "cgroup",
    source: "cgroup",
    options: [...flags, "relatime", writable ? "rw" : "ro"],
  };
}
