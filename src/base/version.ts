// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";

/** Berth's own version, as package.json says it. */
export const version: string = readManifest(new URL("../../", import.meta.url)).version;

interface Manifest {
  readonly version: string;
  /** The commit that a package was made from; not in a checkout. */
  readonly revision?: string;
}

function readManifest(project: URL): Manifest {
  return JSON.parse(readFileSync(new URL("package.json", project), "utf8")) as Manifest;
}

/** The commit that a checkout is at, or that a package was made from; "" for a copy that has neither. */
export function sourceRevision(project: URL = new URL("../../", import.meta.url)): string {
  return checkedOut(project) || packagedFrom(project);
}

function packagedFrom(project: URL): string {
  try {
    return readManifest(project).revision ?? "";
  } catch {
    return "";
  }
}

function checkedOut(project: URL): string {
  const read = (name: string): string => {
    try {
      return readFileSync(new URL(`.git/${name}`, project), "utf8").trim();
    } catch {
      return "";
    }
  };
  const head = read("HEAD");
  const branch = /^ref: (.+)$/.exec(head)?.[1];
  if (branch === undefined) return head;
  // git keeps a branch in a file of its own, or packed with others: `HASH NAME`.
  const packed = read("packed-refs").split("\n");
  return read(branch) || (packed.find((line) => line.endsWith(` ${branch}`))?.split(" ")[0] ?? "");
}
