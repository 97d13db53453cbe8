// SPDX-License-Identifier: Apache-2.0
import { closeSync, openSync } from "node:fs";
import { checked, lastError } from "./errno.ts";
import { libc, load } from "./libc.ts";

// What Node's fs cannot do: nanosecond times on links, extended attributes, devices, and paths that
// are resolved inside a folder. Paths are bytes here, since a file name need not be UTF-8.

const cChroot = libc("int chroot(const char *path)");
const cFchdir = libc("int fchdir(int fd)");
const cMknod = libc("int mknod(const uint8_t *path, unsigned int mode, unsigned long device)");
const cUtimensat = libc(
  "int utimensat(int dirfd, const uint8_t *path, const uint8_t *times, int flags)",
);
const cFutimens = libc("int futimens(int fd, const uint8_t *times)");
const cLsetxattr = libc(
  "int lsetxattr(const uint8_t *path, const char *name, const uint8_t *value, size_t size, int flags)",
);
const cFsetxattr = libc(
  "int fsetxattr(int fd, const char *name, const uint8_t *value, size_t size, int flags)",
);
const cFgetxattr = libc(
  "int64_t fgetxattr(int fd, const char *name, _Out_ uint8_t *value, size_t size)",
);
const cFlistxattr = libc("int64_t flistxattr(int fd, _Out_ uint8_t *list, size_t size)");
const cOpenat2 = libc(
  "long syscall(long number, int dirfd, const uint8_t *path, const uint8_t *how, size_t size)",
);

const atFdCwd = -100;
const atSymlinkNoFollow = 0x100;
/** The same number on every architecture, as for all system calls since 2019. */
const sysOpenat2 = 437;
const resolveInRoot = 0x10;
const openDirectory = 0o200000;
const openCloseOnExec = 0o2000000;

export interface FileTime {
  readonly seconds: number;
  readonly nanos: number;
}

/** Makes a folder the process's root. The caller changes into it. */
export function changeRoot(folder: string): void {
  checked(cChroot(folder), "chroot", folder);
}

/** Makes an open folder the process's root and working directory, also one outside of the present root. */
export function changeRootTo(folder: number): void {
  checked(cFchdir(folder), "fchdir", String(folder));
  checked(cChroot("."), "chroot", ".");
}

/** mknod(2): `mode` holds type and permission bits; the umask applies. */
export function makeDevice(path: Buffer, mode: number, major: number, minor: number): void {
  checked(cMknod(terminated(path), mode, deviceNumber(major, minor)), "mknod", path.toString());
}

/** Sets access and modification time of the file itself, not of what a link points to. */
export function setTimes(path: Buffer, accessed: FileTime, modified: FileTime): void {
  const times = timespecs(accessed, modified);
  checked(
    cUtimensat(atFdCwd, terminated(path), times, atSymlinkNoFollow),
    "utimensat",
    path.toString(),
  );
}

/** `setTimes` of an open file. */
export function setTimesOf(fd: number, accessed: FileTime, modified: FileTime): void {
  checked(cFutimens(fd, timespecs(accessed, modified)), "futimens");
}

/** Sets an extended attribute of the file itself, not of what a link points to. */
export function setAttribute(path: Buffer, name: string, value: Buffer): void {
  checked(cLsetxattr(terminated(path), name, value, value.length, 0), "lsetxattr", name);
}

/** `setAttribute` of an open file. */
export function setAttributeOf(fd: number, name: string, value: Buffer): void {
  checked(cFsetxattr(fd, name, value, value.length, 0), "fsetxattr", name);
}

/** All extended attributes of an open file; none when its file system knows none. */
export function attributesOf(fd: number): ReadonlyMap<string, Buffer> {
  const list = Buffer.alloc(64 * 1024); // XATTR_LIST_MAX
  const length = cFlistxattr(fd, list, list.length);
  const found = new Map<string, Buffer>();
  if (length < 0) {
    const error = lastError("flistxattr");
    if (error.code === "EOPNOTSUPP" || error.code === "ENOTSUP") return found;
    throw error;
  }
  const value = Buffer.alloc(64 * 1024); // XATTR_SIZE_MAX
  for (const name of list.toString("utf8", 0, length).split("\0")) {
    if (name === "") continue;
    const size = checked(cFgetxattr(fd, name, value, value.length), "fgetxattr", name);
    found.set(name, Buffer.from(value.subarray(0, size)));
  }
  return found;
}

/**
 * Opens a folder by a path below another open folder, as if that were the root: neither `..` nor a
 * link leads out of it. The caller closes the descriptor. Throws SystemError (ENOENT, ENOTDIR, …).
 */
export function openDirectoryInside(rootFd: number, path: Buffer): number {
  const how = Buffer.alloc(24);
  how.writeBigUInt64LE(BigInt(openDirectory | openCloseOnExec), 0);
  how.writeBigUInt64LE(BigInt(resolveInRoot), 16);
  const relative = path.length === 0 ? Buffer.from(".") : path;
  const fd = cOpenat2(sysOpenat2, rootFd, terminated(relative), how, how.length);
  return checked(fd, "openat2", path.toString());
}

/** Flushes the whole file system that holds a folder; runs on the thread pool. */
export async function syncFileSystem(folder: string): Promise<void> {
  const fd = openSync(folder, "r");
  try {
    await syncOpen(fd);
  } finally {
    closeSync(fd);
  }
}

function syncOpen(fd: number): Promise<void> {
  const syncfs = load().func("int syncfs(int fd)");
  return new Promise((resolve, reject) => {
    syncfs.async(fd, (error: Error | null, result: number) => {
      if (error) reject(error);
      else if (result < 0) reject(lastError("syncfs"));
      else resolve();
    });
  });
}

function terminated(path: Buffer): Buffer {
  return Buffer.concat([path, Buffer.alloc(1)]);
}

const timespecBytes = 16;

function timespecs(accessed: FileTime, modified: FileTime): Buffer {
  const times = Buffer.alloc(2 * timespecBytes);
  for (const [index, time] of [accessed, modified].entries()) {
    times.writeBigInt64LE(BigInt(time.seconds), index * timespecBytes);
    times.writeBigInt64LE(BigInt(time.nanos), index * timespecBytes + 8);
  }
  return times;
}

// The layout of gnu_dev_makedev: 12 low bits of major at 8, 8 low bits of minor at 0, the rest above.
function deviceNumber(major: number, minor: number): bigint {
  const high = BigInt(major);
  const low = BigInt(minor);
  return (
    ((high & 0xfffn) << 8n) | ((high & ~0xfffn) << 32n) | (low & 0xffn) | ((low & ~0xffn) << 12n)
  );
}
