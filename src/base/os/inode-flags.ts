// SPDX-License-Identifier: Apache-2.0
import { checked } from "./errno.ts";
import { libc } from "./libc.ts";

// ioctl's third argument is a pointer here; the kernel reads and writes an int, whatever the header says.
const cIoctl = libc("int ioctl(int fd, unsigned long request, uint8_t *flags)");

const getFlags = 0x80086601; // FS_IOC_GETFLAGS
const setFlags = 0x40086602; // FS_IOC_SETFLAGS
const immutable = 0x10;
const appendOnly = 0x20;

/**
 * Takes the immutable and append-only flags off an open file or folder. Answers whether there were any.
 * Throws SystemError: EPERM without CAP_LINUX_IMMUTABLE, ENOTTY where the file system has no flags.
 */
export function clearProtection(fd: number): boolean {
  const flags = new Uint32Array(2);
  const raw = Buffer.from(flags.buffer);
  checked(cIoctl(fd, getFlags, raw), "ioctl FS_IOC_GETFLAGS");
  const before = flags[0] ?? 0;
  const after = before & ~(immutable | appendOnly);
  if (before === after) return false;
  flags[0] = after;
  checked(cIoctl(fd, setFlags, raw), "ioctl FS_IOC_SETFLAGS");
  return true;
}

/** Makes an open file or folder immutable, or no longer. Throws SystemError. */
export function setImmutable(fd: number, isImmutable: boolean): void {
  const flags = new Uint32Array(2);
  const raw = Buffer.from(flags.buffer);
  checked(cIoctl(fd, getFlags, raw), "ioctl FS_IOC_GETFLAGS");
  flags[0] = isImmutable ? (flags[0] ?? 0) | immutable : (flags[0] ?? 0) & ~immutable;
  checked(cIoctl(fd, setFlags, raw), "ioctl FS_IOC_SETFLAGS");
}
