// SPDX-License-Identifier: Apache-2.0
import { pipeBytes } from "./drain-pipe.ts";
import { checked } from "./errno.ts";
import { libc } from "./libc.ts";

const cMap = libc("long mmap(void *at, size_t length, int may, int flags, int fd, long offset)");
const cLock = libc("int mlock(long at, size_t length)");
const cUnmap = libc("int munmap(long at, size_t length)");
const cReadv = libc("long readv(int fd, void *pieces, int count)");

export const pageBytes = 4096;
const readAndWrite = 3; // PROT_READ | PROT_WRITE
const shared = 1; // MAP_SHARED
const ownAndNoFile = 0x22; // MAP_PRIVATE | MAP_ANONYMOUS
/** Where bytes go that nobody wants: the same few pages again and again, which stay in the processor's cache. */
const sinkBytes = 16 * 1024;
const pieceBytes = 16; // struct iovec
const pieces = Buffer.alloc((pipeBytes / sinkBytes + 1) * pieceBytes);
let sink: number | undefined;

/**
 * The first page of a file, mapped, so that the kernel itself notes there what is taken out of a pipe: whoever is
 * killed in that call has done both or neither. Nothing here reads or writes the page: a file that somebody shortens
 * makes the call fail, where an access would end the process (SIGBUS). Read and write it as a file.
 */
export class TakenMark implements Disposable {
  #at: number | undefined;

  /** The file must have a page at least. Throws SystemError. */
  constructor(fd: number) {
    sink ??= mapped(sinkBytes, ownAndNoFile, -1);
    this.#at = mapped(pageBytes, shared, fd);
  }

  /**
   * Takes `length` bytes, which must be there, and puts the last one at `offset` of the page. Answers how many bytes
   * it took: fewer only where the page is not there any more.
   */
  take(pipe: number, length: number, offset: number): number {
    if (this.#at === undefined || sink === undefined) return 0;
    let count = 0;
    const add = (at: number, bytes: number): void => {
      pieces.writeBigUInt64LE(BigInt(at), count * pieceBytes);
      pieces.writeBigUInt64LE(BigInt(bytes), count * pieceBytes + 8);
      count += 1;
    };
    for (let left = length - 1; left > 0; left -= sinkBytes) add(sink, Math.min(left, sinkBytes));
    add(this.#at + offset, 1);
    return Math.max(0, cReadv(pipe, pieces, count));
  }

  [Symbol.dispose](): void {
    if (this.#at !== undefined) cUnmap(this.#at, pageBytes);
    this.#at = undefined;
  }
}

/**
 * Locked where that is allowed: a call that a kill meets while it waits for a page would end between the bytes and the
 * mark.
 */
function mapped(length: number, flags: number, fd: number): number {
  const at = checked(cMap(null, length, readAndWrite, flags, fd, 0), "mmap");
  cLock(at, length);
  return at;
}
