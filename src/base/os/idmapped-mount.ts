// SPDX-License-Identifier: Apache-2.0
import { closeSync } from "node:fs";
import { checked } from "./errno.ts";
import { libc } from "./libc.ts";
import { MountFlag } from "./mount-options.ts";

// By number, which is the same on every architecture: older C libraries have no names for them.
const openTreeNumber = 428;
const moveMountNumber = 429;
const mountSetattrNumber = 442;
const cOpenTree = libc("long syscall(long number, int at, const char *path, unsigned int flags)");
const cMoveMount = libc(
  "long syscall(long number, int from, const char *fromPath, int to, const char *toPath, unsigned int flags)",
);
const cMountSetattr = libc(
  "long syscall(long number, int at, const char *path, unsigned int flags, void *attributes, size_t size)",
);

const atWorkingDirectory = -100;
const atEmptyPath = 0x1000;
const atRecursive = 0x8000;
const openTreeClone = 1;
const closeOnExec = 0o2000000;
const moveFromEmptyPath = 4;
/** MOUNT_ATTR_RDONLY and MOUNT_ATTR_IDMAP of linux/mount.h. */
const attributeReadOnly = 0x1n;
const attributeIdMap = 0x100000n;
const attributesBytes = 32;

export interface IdmappedBind {
  readonly source: string;
  /** An existing folder or file. */
  readonly target: string;
  /** Descriptor of a user namespace: files of root at the source belong to its root at the target. */
  readonly userNamespace: number;
  readonly readOnly: boolean;
  readonly recursive: boolean;
}

/**
 * Binds `source` at `target` with the owners of files shown as a user namespace maps them; private, so
 * that nothing mounted below spreads. Throws SystemError: EINVAL when the file system cannot be
 * mapped, ENOSYS before Linux 5.12.
 */
export function bindIdmapped(bind: IdmappedBind): void {
  const { source, target, userNamespace } = bind;
  const recursive = bind.recursive ? atRecursive : 0;
  const flags = openTreeClone | closeOnExec | recursive;
  const tree = checked(
    cOpenTree(openTreeNumber, atWorkingDirectory, source, flags),
    "open_tree",
    source,
  );
  try {
    const attributes = Buffer.alloc(attributesBytes);
    attributes.writeBigUInt64LE(attributeIdMap | (bind.readOnly ? attributeReadOnly : 0n), 0);
    attributes.writeBigUInt64LE(BigInt(MountFlag.private), 16);
    attributes.writeBigUInt64LE(BigInt(userNamespace), 24);
    checked(
      cMountSetattr(
        mountSetattrNumber,
        tree,
        "",
        atEmptyPath | recursive,
        attributes,
        attributesBytes,
      ),
      "mount_setattr",
      source,
    );
    checked(
      cMoveMount(moveMountNumber, tree, "", atWorkingDirectory, target, moveFromEmptyPath),
      "move_mount",
      target,
    );
  } finally {
    closeSync(tree);
  }
}
