// SPDX-License-Identifier: Apache-2.0

/** The extended attribute of a file's capabilities. */
export const capabilityName = "security.capability";

const revision2Bytes = 20;
const revision3 = 0x03000000;
const revisionMask = 0xff000000;

/**
 * A file's capabilities, made valid for the user namespace whose root is that id on the host. linux/capability.h:
 * revision 3 is revision 2 and that id.
 */
export function ownedCapability(value: Buffer, rootId: number): Buffer {
  if (value.length !== revision2Bytes) return value;
  const owned = Buffer.alloc(revision2Bytes + 4);
  value.copy(owned);
  owned.writeUInt32LE(((value.readUInt32LE(0) & ~revisionMask) | revision3) >>> 0, 0);
  owned.writeUInt32LE(rootId, revision2Bytes);
  return owned;
}
