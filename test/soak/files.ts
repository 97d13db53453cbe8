// SPDX-License-Identifier: Apache-2.0
import { readdirSync } from "node:fs";
import path from "node:path";

/**
 * The files and folders of a daemon by kind of place: each id is the same as any other. What images hold, and
 * the sandbox's root, are counted as one each.
 */
export async function fileCounts(folder: string): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  const add = (place: string): void => {
    const kind = `files ${kindOf(place)}`;
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  };
  const walk = (place: string): void => {
    for (const entry of entriesOf(path.join(folder, place))) {
      const inner = path.join(place, entry.name);
      if (!passing.test(inner)) add(inner);
      if (entry.isDirectory() && !isContent(inner)) walk(inner);
    }
  };
  for (const top of ["root", "state", "logs", "cni"]) walk(top);
  return counts;
}

/** Places that come with their first use and go at a start when they are empty; what is in them is counted. */
const passing = /^root\/(mapped-mounts|snapshots\/[^/]+\/scratch-mounts)$/;

/** `root/content/blobs/sha256/ID`; what follows a dash in a name made by mkdtemp goes too. */
export function kindOf(place: string): string {
  return place
    .split("/")
    .map((name) =>
      name
        .replaceAll(/[0-9a-f]{64}/g, "ID")
        .replace(/^[0-9a-f]{12}-[A-Za-z0-9]{6}$/, "ID-XXXXXX")
        .replace(/^\d+\.\d+\.\d+\.\d+$/, "ADDRESS")
        .replace(/^\d+$/, "N")
        .replace(/^uid-.*$/, "UID")
        .replace(/\d+\.log$/, "N.log"),
    )
    .join("/");
}

function isContent(place: string): boolean {
  return /^root\/snapshots\/[^/]+\/snapshots\/\d+\/(fs|work)$|^root\/pause\/|\/rootfs$/.test(place);
}

function entriesOf(folder: string) {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch {
    return []; // gone meanwhile
  }
}

/** The names in a folder; none where there is no folder. */
export function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
