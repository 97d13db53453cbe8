// SPDX-License-Identifier: Apache-2.0
import { closeSync, constants } from "node:fs";
import { openAt, openFolder } from "../base/os/at.ts";
import { FileAttribute, FileType, factsIfAny, factsOf } from "../base/os/file-facts.ts";
import { clearProtection } from "../base/os/inode-flags.ts";
import { detachAt } from "../base/os/mount.ts";

/**
 * Takes away what keeps a name from being removed, moved or opened, going by the error: a mount on it, the immutable
 * and append-only flags of it and its folder. Answers whether there was any, so that another attempt is worth it.
 */
export function unfasten(code: string, folder: number, name: Buffer): boolean {
  try {
    if (code === "EBUSY" || code === "EXDEV") return detachAt(folder, name);
    if (code !== "EPERM" && code !== "EACCES") return false;
    const ofFolder = isProtected(factsOf(folder).attributes) && clearProtection(folder);
    return unprotect(folder, name) || ofFolder;
  } catch {
    return false; // the first error is the one that explains more
  }
}

function unprotect(folder: number, name: Buffer): boolean {
  const facts = factsIfAny(folder, name);
  if (facts === undefined || !isProtected(facts.attributes)) return false;
  const type = facts.mode & FileType.mask;
  if (type !== FileType.folder && type !== FileType.regular) return false;
  const asFile = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const fd = openAt(folder, name, type === FileType.folder ? openFolder : asFile);
  try {
    return clearProtection(fd);
  } finally {
    closeSync(fd);
  }
}

function isProtected(attributes: number): boolean {
  return (attributes & (FileAttribute.immutable | FileAttribute.appendOnly)) !== 0;
}
