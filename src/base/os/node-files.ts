// SPDX-License-Identifier: Apache-2.0
import { checked } from "./errno.ts";
import { libc } from "./libc.ts";

const cMknod = libc("int mknod(const char *path, unsigned int mode, unsigned long device)");
const cLsetxattr = libc(
  "int lsetxattr(const char *path, const char *name, const uint8_t *value, size_t size, int flags)",
);

/** File type bits of mknod's mode (inode(7)). */
export const FileType = { fifo: 0o010000, character: 0o020000, block: 0o060000 } as const;

/** Makes a device, FIFO or socket file. `mode` holds type and permission bits; the umask applies. */
export function makeNode(path: string, mode: number, major: number, minor: number): void {
  checked(cMknod(path, mode, deviceNumber(major, minor)), "mknod", path);
}

/** Sets an extended attribute on the file itself, not on what a link points to. */
export function setXattr(path: string, name: string, value: Uint8Array): void {
  checked(cLsetxattr(path, name, value, value.byteLength, 0), "lsetxattr", `${path} ${name}`);
}

// The layout of gnu_dev_makedev: 12 low bits of major at 8, 8 low bits of minor at 0, the rest above.
function deviceNumber(major: number, minor: number): bigint {
  const high = BigInt(major);
  const low = BigInt(minor);
  return (
    ((high & 0xfffn) << 8n) | ((high & ~0xfffn) << 32n) | (low & 0xffn) | ((low & ~0xffn) << 12n)
  );
}
