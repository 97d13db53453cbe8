// SPDX-License-Identifier: Apache-2.0
import { checked } from "./errno.ts";
import { libc } from "./libc.ts";

const cLgetxattr = libc(
  "int64_t lgetxattr(const uint8_t *path, const char *name, _Out_ uint8_t *value, size_t size)",
);
const cLsetxattr = libc(
  "int lsetxattr(const uint8_t *path, const char *name, const uint8_t *value, size_t size, int flags)",
);

/** Sets an extended attribute of the file itself. Throws SystemError. */
export function writeXattr(path: string | Buffer, name: string, value: Buffer): void {
  checked(cLsetxattr(terminated(path), name, value, value.length, 0), "lsetxattr", path.toString());
}

/**
 * An extended attribute of the file itself, not of what a link points to. Undefined when it is not
 * there, cannot be read, or is longer than `maxBytes`.
 */
export function readXattr(
  path: string | Buffer,
  name: string,
  maxBytes: number,
): Buffer | undefined {
  const value = Buffer.alloc(maxBytes);
  const size = cLgetxattr(terminated(path), name, value, value.length);
  return size < 0 ? undefined : value.subarray(0, size);
}

function terminated(path: string | Buffer): Buffer {
  return Buffer.concat([Buffer.from(path), Buffer.alloc(1)]);
}
