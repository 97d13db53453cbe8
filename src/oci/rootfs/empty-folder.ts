// SPDX-License-Identifier: Apache-2.0
import { type FileHandle, mkdir, open, opendir } from "node:fs/promises";
import { attributeNames } from "../../base/os/attributes.ts";
import { hostId, type IdMappings } from "../../base/os/id-mapping.ts";
import { readForeign } from "../../base/read-bounded.ts";

/**
 * Makes a folder like the image's where that is empty in all its layers and has no attributes, as for most
 * volumes: no thread need be asked then. Answers false, and does nothing, for any other folder.
 */
export async function makeIfEmpty(
  parts: readonly Buffer[],
  destination: string,
  mappings: IdMappings | undefined,
): Promise<boolean> {
  const [top] = parts;
  if (top === undefined) return false;
  await using original = await open(top, readForeign);
  if (attributeNames(original.fd).length > 0) return false;
  for (const part of parts) if (!(await isEmpty(part))) return false;
  await mkdir(destination, { mode: 0o700 });
  await using copy = await open(destination, readForeign);
  await makeAlike(original, copy, mappings);
  return true;
}

async function isEmpty(folder: Buffer): Promise<boolean> {
  await using entries = await opendir(folder);
  return (await entries.read()) === null;
}

async function makeAlike(
  original: FileHandle,
  copy: FileHandle,
  mappings: IdMappings | undefined,
): Promise<void> {
  const { uid, gid, mode, atime, mtime } = await original.stat();
  if (mappings === undefined) await copy.chown(uid, gid);
  else await copy.chown(hostId(mappings.uids, uid), hostId(mappings.gids, gid));
  await copy.chmod(mode & 0o7777);
  await copy.utimes(atime, mtime);
}
