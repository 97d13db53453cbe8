// SPDX-License-Identifier: Apache-2.0
import { closeSync, constants, futimesSync, openSync } from "node:fs";
import {
  atCurrent,
  type FileTime,
  makeNodeAt,
  openResolved,
  Resolve,
  setTimesAt,
  timespecs,
} from "./at.ts";
import { checked, lastError } from "./errno.ts";
import { bindC, libc } from "./libc.ts";

export type { FileTime };

// What Node's fs cannot do: nanosecond times on links, extended attributes, devices, and paths that
// are resolved inside a folder. Paths are bytes here, since a file name need not be UTF-8.

const cChroot = libc("int chroot(const char *path)");
const cFchdir = libc("int fchdir(int fd)");
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
  makeNodeAt(atCurrent, path, mode, { major, minor });
}

/** Sets access and modification time of the file itself, not of what a link points to. */
export function setTimes(path: Buffer, accessed: FileTime, modified: FileTime): void {
  setTimesAt(atCurrent, path, accessed, modified);
}

/** `setTimes` of an open file. */
export function setTimesOf(fd: number, accessed: FileTime, modified: FileTime): void {
  // Whole seconds are exact in Node's own call, too, which costs a third. It takes those before 1970 for now.
  if (isPlain(accessed) && isPlain(modified)) {
    futimesSync(fd, accessed.seconds, modified.seconds);
    return;
  }
  checked(cFutimens(fd, timespecs(accessed, modified)), "futimens");
}

function isPlain({ seconds, nanos }: FileTime): boolean {
  return nanos === 0 && seconds >= 0;
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
  return openResolved(rootFd, path, constants.O_RDONLY | constants.O_DIRECTORY, Resolve.inRoot);
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
  const syncfs = bindC("int syncfs(int fd)");
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
