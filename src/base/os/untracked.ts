// SPDX-License-Identifier: Apache-2.0
import { checked } from "./errno.ts";
import { libc } from "./libc.ts";

const cOpen = libc("int open(const char *path, int flags)");
const cClose = libc("int close(int fd)");

const closeOnExec = 0o2000000;

/**
 * Opens a file for a socket to take over. When a thread ends, Node closes what the thread opened by `node:fs`, and the
 * sockets close what they have: a descriptor of both would be closed twice, by then being someone else's. Throws
 * SystemError.
 */
export function openUntracked(path: string, flags: number): number {
  return checked(cOpen(path, flags | closeOnExec), "open", path);
}

/** Closes what no socket has taken over. */
export function closeUntracked(fd: number): void {
  cClose(fd);
}
