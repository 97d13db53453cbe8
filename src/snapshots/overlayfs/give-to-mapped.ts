// SPDX-License-Identifier: Apache-2.0
import { chmod, lchown, lstat, readdir } from "node:fs/promises";
import type { Cancellable } from "../../base/cancellable.ts";
import { hostId, type IdMappings } from "../../base/os/id-mapping.ts";
import { readXattr, writeXattr } from "../../base/os/xattr.ts";

const capabilityName = "security.capability";
const revision2Bytes = 20;
const revision3 = 0x03000000;
const revisionMask = 0xff000000;

/**
 * Gives everything below `folder` to the owners that it has in a user namespace, the folder itself
 * left out. Modes and file capabilities stay, the latter as the user namespace's root's.
 */
export async function giveToMapped(
  folder: string,
  mappings: IdMappings,
  call: Cancellable,
): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    call.signal.throwIfAborted();
    const file = `${folder}/${entry.name}`;
    await give(file, mappings);
    if (entry.isDirectory()) await giveToMapped(file, mappings, call);
  }
}

async function give(file: string, { uids, gids }: IdMappings): Promise<void> {
  const before = await lstat(file);
  const capability = before.isFile() ? readXattr(file, capabilityName, 64) : undefined;
  await lchown(file, hostId(uids, before.uid), hostId(gids, before.gid));
  if (before.isSymbolicLink()) return;
  // A change of owner clears what gives privileges.
  if ((before.mode & 0o6000) !== 0) await chmod(file, before.mode & 0o7777);
  if (capability !== undefined) {
    writeXattr(file, capabilityName, ownedCapability(capability, hostId(uids, 0)));
  }
}

/** linux/capability.h: revision 3 is revision 2 and the host's id of the root that it is good for. */
function ownedCapability(value: Buffer, rootId: number): Buffer {
  if (value.length !== revision2Bytes) return value;
  const owned = Buffer.alloc(revision2Bytes + 4);
  value.copy(owned);
  owned.writeUInt32LE(((value.readUInt32LE(0) & ~revisionMask) | revision3) >>> 0, 0);
  owned.writeUInt32LE(rootId, revision2Bytes);
  return owned;
}
