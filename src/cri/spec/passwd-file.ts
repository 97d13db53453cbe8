// SPDX-License-Identifier: Apache-2.0

export interface PasswdEntry {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

export interface GroupEntry {
  readonly name: string;
  readonly gid: number;
  readonly members: readonly string[];
}

/** Ids are 32 bits in the kernel; CRI keeps to the lower half. */
export const maxId = 2 ** 31 - 1;

/** Lines of /etc/passwd; what does not parse is skipped, since an image may hold anything there. */
export function parsePasswd(text: string): PasswdEntry[] {
  return rows(text, 4).flatMap(([name = "", , uid, gid]) => {
    const [parsedUid, parsedGid] = [parseId(uid), parseId(gid)];
    if (name === "" || parsedUid === undefined || parsedGid === undefined) return [];
    return [{ name, uid: parsedUid, gid: parsedGid }];
  });
}

/** Lines of /etc/group, likewise. */
export function parseGroups(text: string): GroupEntry[] {
  return rows(text, 3).flatMap(([name = "", , gid, members = ""]) => {
    const parsed = parseId(gid);
    if (name === "" || parsed === undefined) return [];
    return [{ name, gid: parsed, members: members.split(",").filter((member) => member !== "") }];
  });
}

/** A decimal id within range, else undefined. */
export function parseId(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,10}$/.test(text)) return undefined;
  const id = Number(text);
  return id <= maxId ? id : undefined;
}

function rows(text: string, columns: number): string[][] {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => line.split(":"))
    .filter((parts) => parts.length >= columns);
}
