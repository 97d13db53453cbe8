// SPDX-License-Identifier: Apache-2.0
import { libc } from "./libc.ts";

const cFallocate = libc("int fallocate(int fd, int mode, long offset, long length)");
const punchKeepingSize = 3; // FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE

/** Gives a part of a file back to its disk, where the file system can: it reads as zeros then. */
export function punchHole(fd: number, offset: number, length: number): void {
  cFallocate(fd, punchKeepingSize, offset, length);
}
