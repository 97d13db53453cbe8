// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";

/** Berth's own version, as package.json says it. */
export const version: string = readVersion();

function readVersion(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}

/** The commit that a checkout is at; "" for an installed copy, which has no `.git`. */
export function sourceRevision(project = new URL("../../", import.meta.url)): string {
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
