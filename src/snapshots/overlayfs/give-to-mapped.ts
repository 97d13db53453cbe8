// SPDX-License-Identifier: Apache-2.0
import { chmod, lchown, lstat, opendir } from "node:fs/promises";
import type { Cancellable } from "../../base/cancellable.ts";
import { capabilityName, ownedCapability } from "../../base/os/file-capability.ts";
import { hostId, type IdMappings } from "../../base/os/id-mapping.ts";
import { readXattr, writeXattr } from "../../base/os/xattr.ts";

/**
 * Gives everything below `folder`, whose path is bytes, to the owners that it has in a user namespace, the
 * folder itself left out. Modes and file capabilities stay, the latter as the user namespace's root's.
 */
export async function giveToMapped(
  folder: Buffer,
  mappings: IdMappings,
  call: Cancellable,
): Promise<void> {
  // One after another: a folder may be wider than memory. Names are bytes, one character each.
  for await (const entry of await opendir(folder, { encoding: "latin1" })) {
    call.signal.throwIfAborted();
    const file = Buffer.concat([folder, Buffer.from(`/${entry.name}`, "latin1")]);
    await give(file, mappings);
    if (entry.isDirectory()) await giveToMapped(file, mappings, call);
  }
}

async function give(file: Buffer, { uids, gids }: IdMappings): Promise<void> {
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
