// SPDX-License-Identifier: Apache-2.0
import { checked, lastError } from "./errno.ts";
import { libc } from "./libc.ts";

const cFlistxattr = libc("int64_t flistxattr(int fd, _Out_ uint8_t *list, size_t size)");
const cFgetxattr = libc(
  "int64_t fgetxattr(int fd, const uint8_t *name, _Out_ uint8_t *value, size_t size)",
);
const cFsetxattr = libc(
  "int fsetxattr(int fd, const uint8_t *name, const uint8_t *value, size_t size, int flags)",
);

// XATTR_LIST_MAX and XATTR_SIZE_MAX; most files have no attributes at all.
const maxBytes = 64 * 1024;
let listed: Buffer | undefined;
let read: Buffer | undefined;

/**
 * The names of an open file's extended attributes, one character a byte; none where the file system has no
 * attributes.
 */
export function attributeNames(fd: number): string[] {
  listed ??= Buffer.allocUnsafeSlow(maxBytes);
  const length = cFlistxattr(fd, listed, listed.length);
  if (length === 0) return [];
  if (length > 0) return listed.toString("latin1", 0, length - 1).split("\0");
  const error = lastError("flistxattr");
  if (isUnknownHere(error.code)) return [];
  throw error;
}

/** An attribute's value; undefined when it is not there. */
export function attributeOf(fd: number, name: string): Buffer | undefined {
  read ??= Buffer.allocUnsafeSlow(maxBytes);
  const length = cFgetxattr(fd, Buffer.from(`${name}\0`, "latin1"), read, read.length);
  if (length >= 0) return Buffer.from(read.subarray(0, length));
  const error = lastError("fgetxattr", name);
  if (error.code === "ENODATA" || isUnknownHere(error.code)) return undefined;
  throw error;
}

/** Sets an attribute. Throws SystemError. */
export function setAttributeOn(fd: number, name: string, value: Buffer): void {
  const result = cFsetxattr(fd, Buffer.from(`${name}\0`, "latin1"), value, value.length, 0);
  checked(result, "fsetxattr", name);
}

/** Whether the errno means that the file system, or this kind of file, has no such attributes. */
export function isUnknownHere(errno: string | undefined): boolean {
  return errno === "ENOTSUP" || errno === "EOPNOTSUPP";
}
