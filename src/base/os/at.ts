// SPDX-License-Identifier: Apache-2.0
import { constants } from "node:fs";
import { checked, SystemError } from "./errno.ts";
import { libc } from "./libc.ts";

// System calls on a name in an open folder. A path that somebody else made is walked name by name this way: its
// length does not matter, and no link or rename in it leads elsewhere. Names are bytes without a terminator, since a
// file name need not be UTF-8. All calls are synchronous and throw SystemError. Facts of a file are in file-facts.ts,
// reading a folder in directory-reader.ts, flags in inode-flags.ts.

const cOpenat = libc("int openat(int dirfd, const uint8_t *path, int flags, unsigned int mode)");
const cOpenat2 = libc(
  "long syscall(long number, int dirfd, const uint8_t *path, const uint8_t *how, size_t size)",
);
const cUnlinkat = libc("int unlinkat(int dirfd, const uint8_t *path, int flags)");
const cMkdirat = libc("int mkdirat(int dirfd, const uint8_t *path, unsigned int mode)");
const cRenameat2 = libc(
  "int renameat2(int olddirfd, const uint8_t *oldpath, int newdirfd, const uint8_t *newpath, unsigned int flags)",
);
const cLinkat = libc(
  "int linkat(int olddirfd, const uint8_t *oldpath, int newdirfd, const uint8_t *newpath, int flags)",
);
const cSymlinkat = libc(
  "int symlinkat(const uint8_t *target, int newdirfd, const uint8_t *linkpath)",
);
const cReadlinkat = libc(
  "int64_t readlinkat(int dirfd, const uint8_t *path, _Out_ uint8_t *target, size_t size)",
);
const cMknodat = libc(
  "int mknodat(int dirfd, const uint8_t *path, unsigned int mode, unsigned long device)",
);
const cFchownat = libc(
  "int fchownat(int dirfd, const uint8_t *path, unsigned int uid, unsigned int gid, int flags)",
);
const cUtimensat = libc(
  "int utimensat(int dirfd, const uint8_t *path, const uint8_t *times, int flags)",
);

/** In place of a folder's descriptor: the path is resolved as usual. */
export const atCurrent = -100;

const symlinkNoFollow = 0x100;
const removeDirectory = 0x200;
/** The same number on every architecture, as for all system calls since 2019. */
const sysOpenat2 = 437;
const closeOnExec = 0o2000000;
const renameNoReplace = 1;

/** open(2) flags that Node does not name; the same on x64 and arm64. */
export const openPath = 0o10000000;
/** A folder itself, never what a link points to. */
export const openFolder = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
/** The same, for its owner and for root, without changing its access time when it is read. */
export const openFolderUnseen = openFolder | constants.O_NOATIME;

/** How openat2 resolves a path (RESOLVE_…). */
export const Resolve = {
  noMounts: 0x01,
  noMagicLinks: 0x02,
  noLinks: 0x04,
  beneath: 0x08,
  inRoot: 0x10,
} as const;

export interface FileTime {
  readonly seconds: number;
  readonly nanos: number;
}

/** openat(2), close-on-exec. `name` is one name: give O_NOFOLLOW, and O_NONBLOCK for what may be a FIFO. */
export function openAt(folder: number, name: Buffer, flags: number, mode = 0): number {
  return checked(cOpenat(folder, first(name), flags | closeOnExec, mode), "openat", shown(name));
}

/**
 * openat2(2), close-on-exec: `path` may have several names. EXDEV means that it leads out (`beneath`) or
 * into a mount (`noMounts`), ELOOP that it has a link (`noLinks`). "" is the folder itself.
 */
export function openResolved(folder: number, path: Buffer, flags: number, resolve: number): number {
  how[0] = flags | closeOnExec;
  how[4] = resolve;
  const relative = path.length === 0 ? Buffer.from(".") : path;
  const fd = cOpenat2(sysOpenat2, folder, first(relative), rawHow, rawHow.length);
  return checked(fd, "openat2", shown(path));
}

/** Removes a file's name, or an empty folder. */
export function unlinkAt(folder: number, name: Buffer, isFolder: boolean): void {
  checked(rawUnlinkAt(folder, name, isFolder), "unlinkat", shown(name));
}

/** The same, answering whether it went; otherwise lastError has the errno. An exception costs more than a call. */
export function couldUnlinkAt(folder: number, name: Buffer, isFolder: boolean): boolean {
  return rawUnlinkAt(folder, name, isFolder) === 0;
}

/** mkdirat(2); the umask applies. */
export function makeFolderAt(folder: number, name: Buffer, mode: number): void {
  checked(cMkdirat(folder, first(name), mode), "mkdirat", shown(name));
}

/** renameat2(2). Never replaces: EEXIST where the new name is taken. */
export function renameAt(folder: number, name: Buffer, newFolder: number, newName: Buffer): void {
  const result = cRenameat2(folder, first(name), newFolder, second(newName), renameNoReplace);
  checked(result, "renameat2", shown(name));
}

/** Gives a file, or a link itself, another name. */
export function linkAt(folder: number, name: Buffer, newFolder: number, newName: Buffer): void {
  checked(cLinkat(folder, first(name), newFolder, second(newName), 0), "linkat", shown(newName));
}

export function symlinkAt(target: Buffer, folder: number, name: Buffer): void {
  checked(cSymlinkat(first(target), folder, second(name)), "symlinkat", shown(name));
}

/** The target of a symbolic link. */
export function readlinkAt(folder: number, name: Buffer): Buffer {
  const target = Buffer.alloc(pathMax);
  const size = checked(
    cReadlinkat(folder, first(name), target, target.length),
    "readlinkat",
    shown(name),
  );
  return target.subarray(0, size);
}

/** mknodat(2): `mode` holds type and permission bits; the umask applies. */
export function makeNodeAt(
  folder: number,
  name: Buffer,
  mode: number,
  device: { readonly major: number; readonly minor: number } = { major: 0, minor: 0 },
): void {
  checked(cMknodat(folder, first(name), mode, deviceNumber(device)), "mknodat", shown(name));
}

/** Changes the owners of the file itself, not of what a link points to. */
export function chownAt(folder: number, name: Buffer, uid: number, gid: number): void {
  checked(cFchownat(folder, first(name), uid, gid, symlinkNoFollow), "fchownat", shown(name));
}

/** Sets access and modification time of the file itself, not of what a link points to. */
export function setTimesAt(
  folder: number,
  name: Buffer,
  accessed: FileTime,
  modified: FileTime,
): void {
  const times = timespecs(accessed, modified);
  checked(cUtimensat(folder, first(name), times, symlinkNoFollow), "utimensat", shown(name));
}

/** Two struct timespec. */
export function timespecs(accessed: FileTime, modified: FileTime): Buffer {
  const words = [accessed.seconds, accessed.nanos, modified.seconds, modified.nanos];
  return Buffer.from(new BigInt64Array(words.map(BigInt)).buffer);
}

/** A name with its terminator, in a buffer that the next call of this module on this thread writes over. */
export function terminatedName(name: Buffer): Buffer {
  return first(name);
}

function shown(name: Buffer): string {
  return name.length > 80 ? `${name.toString("utf8", 0, 80)}…` : name.toString();
}

function rawUnlinkAt(folder: number, name: Buffer, isFolder: boolean): number {
  return cUnlinkat(folder, first(name), isFolder ? removeDirectory : 0);
}

/** struct open_how: three u64. */
const how = new Uint32Array(6);
const rawHow = Buffer.from(how.buffer);
const pathMax = 4096; // with its terminator
const firstName = Buffer.alloc(pathMax);
const secondName = Buffer.alloc(pathMax);

function first(name: Buffer): Buffer {
  return terminate(name, firstName);
}

function second(name: Buffer): Buffer {
  return terminate(name, secondName);
}

/** A NUL ends a name for the kernel: one inside would name another file. */
function terminate(name: Buffer, into: Buffer): Buffer {
  if (name.length >= into.length) throw new SystemError("open", errnos.nameTooLong, shown(name));
  if (name.includes(0)) throw new SystemError("open", errnos.invalid, shown(name));
  name.copy(into);
  into[name.length] = 0;
  return into;
}

const errnos = { invalid: 22, nameTooLong: 36 } as const;

// The layout of gnu_dev_makedev: 12 low bits of major at 8, 8 low bits of minor at 0, the rest above.
function deviceNumber(device: { readonly major: number; readonly minor: number }): bigint {
  const high = BigInt(device.major);
  const low = BigInt(device.minor);
  return (
    ((high & 0xfffn) << 8n) | ((high & ~0xfffn) << 32n) | (low & 0xffn) | ((low & ~0xffn) << 12n)
  );
}
