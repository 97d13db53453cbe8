// SPDX-License-Identifier: Apache-2.0
import { checked } from "./errno.ts";
import { libc } from "./libc.ts";

const cGetdents = libc("int64_t getdents64(int fd, _Out_ uint8_t *entries, size_t size)");
const cLseek = libc("int64_t lseek(int fd, int64_t offset, int whence)");

const chunkBytes = 16 * 1024;
const none = -1;

/** The kind of an entry, where the file system reports it (DT_…). */
export const EntryType = { unknown: 0, folder: 4, regular: 8, link: 10 } as const;

export interface DirectoryEntry {
  /** Bytes; good for as long as you keep it. */
  readonly name: Buffer;
  readonly type: number;
}

/**
 * Reads an open folder entry by entry, never holding more than 16 KiB of it however wide it is. Entries
 * that come or go meanwhile may be seen or not; each that stays is seen once. The descriptor is the caller's.
 */
export class DirectoryReader {
  readonly #fd: number;
  #chunk: Buffer = Buffer.alloc(0);
  #at = 0;
  /** Offset in the chunk of the last entry answered. */
  #last = none;
  /** The position before any entry was read. */
  #start = 0n;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** undefined at the end. Throws SystemError. */
  next(): DirectoryEntry | undefined {
    for (;;) {
      if (this.#at >= this.#chunk.length && !this.#fill()) return undefined;
      const entry = this.#parse();
      const { name } = entry;
      const isDot =
        name[0] === dot && (name.length === 1 || (name.length === 2 && name[1] === dot));
      if (!isDot) return entry;
    }
  }

  /** Starts again, or goes on where another reader of the folder was. */
  seek(position: bigint): void {
    checked(cLseek(this.#fd, position, 0), "lseek");
    this.#chunk = Buffer.alloc(0);
    this.#at = 0;
    this.#start = position;
    this.#last = none;
  }

  /** After the last entry that `next` answered. */
  get position(): bigint {
    return this.#last === none ? this.#start : this.#chunk.readBigInt64LE(this.#last + 8);
  }

  // Allocates a chunk each time: names are views of it, and may be kept.
  #fill(): boolean {
    this.#start = this.position;
    this.#last = none;
    const chunk = Buffer.allocUnsafeSlow(chunkBytes);
    const size = checked(cGetdents(this.#fd, chunk, chunk.length), "getdents64");
    this.#chunk = chunk.subarray(0, size);
    this.#at = 0;
    return size > 0;
  }

  // struct linux_dirent64: u64 inode, s64 offset, u16 length of the record, u8 type, name, NUL.
  #parse(): DirectoryEntry {
    const at = this.#at;
    const chunk = this.#chunk;
    const length = chunk.readUInt16LE(at + 16);
    this.#last = at;
    this.#at = at + length;
    const end = chunk.indexOf(0, at + 19);
    return { type: chunk[at + 18] ?? 0, name: chunk.subarray(at + 19, end) };
  }
}

const dot = 0x2e;
