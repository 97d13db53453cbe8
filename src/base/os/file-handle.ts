// SPDX-License-Identifier: Apache-2.0
import { checked } from "./errno.ts";
import { libc } from "./libc.ts";

const cNameToHandle = libc(
  "int name_to_handle_at(int dirfd, const uint8_t *path, _Inout_ uint8_t *handle, _Out_ uint8_t *mount, int flags)",
);
const cOpenByHandle = libc("int open_by_handle_at(int mount, const uint8_t *handle, int flags)");

const emptyPath = 0x1000;
const closeOnExec = 0o2000000;
const maxHandleBytes = 128;
const headBytes = 8;
const path = Buffer.alloc(1);

/**
 * The file handle of an open file (struct file_handle), which finds it again even after a rename. undefined where the
 * file system has none: overlayfs, for one.
 */
export function handleOf(fd: number): Buffer | undefined {
  const handle = Buffer.alloc(headBytes + maxHandleBytes);
  handle.writeUInt32LE(maxHandleBytes); // every machine that this runs on is little-endian
  if (cNameToHandle(fd, path, handle, Buffer.alloc(4), emptyPath) !== 0) return undefined;
  return Buffer.from(handle.subarray(0, headBytes + handle.readUInt32LE()));
}

/**
 * Opens a file by its handle; `mount` is anything open on the same mount. ESTALE when it is gone, EPERM
 * without CAP_DAC_READ_SEARCH in the host's user namespace. Close-on-exec.
 */
export function openByHandle(mount: number, handle: Buffer, flags: number): number {
  return checked(cOpenByHandle(mount, handle, flags | closeOnExec), "open_by_handle_at", "");
}
