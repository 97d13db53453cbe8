// SPDX-License-Identifier: Apache-2.0
import { checked } from "./errno.ts";
import { libc } from "./libc.ts";

const cUnshare = libc("int unshare(int flags)");
const cSetns = libc("int setns(int fd, int flags)");

/** CLONE_NEW* of sched.h. */
export const NamespaceFlag = {
  mount: 0x20000,
  cgroup: 0x2000000,
  uts: 0x4000000,
  ipc: 0x8000000,
  user: 0x10000000,
  pid: 0x20000000,
  net: 0x40000000,
} as const;

/**
 * Moves the calling *thread* into fresh namespaces. Only for a worker thread that runs nothing else
 * and restores itself with `enterNamespace` before it goes on; never NamespaceFlag.mount there.
 */
export function unshare(flags: number): void {
  checked(cUnshare(flags), "unshare");
}

/** Moves the calling thread into the namespace that `fd` (of /proc/…/ns/… or a pinned file) names. */
export function enterNamespace(fd: number, flag: number): void {
  checked(cSetns(fd, flag), "setns");
}
