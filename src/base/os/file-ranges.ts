// SPDX-License-Identifier: Apache-2.0
import { readSync, writeSync } from "node:fs";
import { checked, lastError } from "./errno.ts";
import { libc } from "./libc.ts";

const cLseek = libc("int64_t lseek(int fd, int64_t offset, int whence)");
const cCopyFileRange = libc(
  "int64_t copy_file_range(int from, _Inout_ int64_t *fromOffset, int to, _Inout_ int64_t *toOffset, size_t length, unsigned int flags)",
);

const cSyncFileRange = libc(
  "int sync_file_range(int fd, int64_t offset, int64_t length, unsigned int flags)",
);
/** SYNC_FILE_RANGE_WRITE of fs.h. */
const startWriting = 2;

const seekData = 3;
const seekHole = 4;

/** Bytes from `start` up to `end`, which a file has on its disk. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** The next bytes of a file from `offset` on that are no hole; undefined when there are none. */
export function nextData(fd: number, offset: number): Range | undefined {
  const start = cLseek(fd, offset, seekData);
  if (start < 0) {
    const error = lastError("lseek");
    if (error.code === "ENXIO") return undefined;
    throw error;
  }
  return { start, end: checked(cLseek(fd, start, seekHole), "lseek") };
}

/** Errors of the kernel's copy that mean: read and write instead. */
const byHand = new Set(["EXDEV", "EINVAL", "EOPNOTSUPP", "ENOTSUP", "ENOSYS", "EPERM", "EBADF"]);
let buffer: Buffer | undefined;

/**
 * Copies up to `length` bytes to the same place of another file and answers how many: 0 at the end of
 * the first. Where the file system can, the two share their blocks afterwards.
 */
export function copyRange(from: number, to: number, offset: number, length: number): number {
  const [fromOffset, toOffset] = [[offset], [offset]];
  const copied = cCopyFileRange(from, fromOffset, to, toOffset, length, 0);
  if (copied > 0) return copied;
  if (copied < 0) {
    const error = lastError("copy_file_range");
    if (!byHand.has(error.code)) throw error;
  }
  return copyByHand(from, to, offset, length);
}

function copyByHand(from: number, to: number, offset: number, length: number): number {
  buffer ??= Buffer.allocUnsafeSlow(256 * 1024);
  const got = readSync(from, buffer, 0, Math.min(length, buffer.length), offset);
  for (let done = 0; done < got; ) {
    done += writeSync(to, buffer, done, got - done, offset + done);
  }
  return got;
}

/** Has the kernel begin to write what a file has in a range, and does not wait for it. Nothing is promised: an error is none. */
export function beginWriteBack(fd: number, offset: number, length: number): void {
  cSyncFileRange(fd, offset, length, startWriting);
}
