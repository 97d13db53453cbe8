// SPDX-License-Identifier: Apache-2.0
import { constants, openSync } from "node:fs";
import { checked } from "./errno.ts";
import { libc } from "./libc.ts";

const fSetpipeSz = 1031;

const cFcntl = libc("int fcntl(int fd, int command, int value)");
const cMkfifo = libc("int mkfifo(const char *path, unsigned int mode)");

/** Makes a FIFO. Throws SystemError: EEXIST, ENOENT, ENAMETOOLONG. The umask applies. */
export function makeFifo(path: string, mode = 0o600): void {
  checked(cMkfifo(path, mode), "mkfifo", path);
}

/**
 * Opens a FIFO's read end without waiting for a writer. Wrap the descriptor in a `net.Socket`: the event loop polls
 * that, while an `fs` stream would hold a thread of the pool for as long as the FIFO is silent.
 */
export function openFifoReader(path: string): number {
  return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
}

/**
 * Opens both ends at once: never blocks, never fails for want of a peer, and keeps the FIFO open while it is held. A
 * reader then never sees the end of file when the writers close.
 */
export function openFifoBoth(path: string): number {
  return openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
}

/** Gives a FIFO room for so many bytes, where the kernel lets us (pipe(7)); nothing happens elsewhere. */
export function widenFifo(fd: number, bytes: number): void {
  cFcntl(fd, fSetpipeSz, bytes);
}
