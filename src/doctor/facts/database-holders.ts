// SPDX-License-Identifier: Apache-2.0
import type { Stats } from "node:fs";
import { readlink, stat } from "node:fs/promises";
import path from "node:path";
import { errnoOf } from "../../base/errors.ts";
import { readStart } from "../../base/read-bounded.ts";
import type { Host } from "../host.ts";

/**
 * Who has it open, by the kernel's list of locks: a daemon holds its database as long as it runs. The list has numbers of
 * inodes, which are unique on their own file system alone, so that the processes' files are looked at too.
 */
export async function holdersOf(host: Host, database: string): Promise<readonly number[]> {
  const facts = await host.stat(database);
  if (facts === undefined) return [];
  const text = (await readStart(host.at("/proc/locks"), 1024 * 1024).catch(() => "")).toString();
  const pids = new Set<number>();
  for (const line of text.split("\n")) {
    const fields = line.split(/\s+/);
    const at = fields.findIndex((word) => word.endsWith(`:${facts.ino}`));
    if (at > 0) pids.add(Number(fields[at - 1]));
  }
  const name = path.basename(database);
  const holders: number[] = [];
  for (const pid of pids) {
    if (await hasOpen(host, pid, { dev: facts.dev, ino: facts.ino, name })) holders.push(pid);
  }
  return holders;
}

/** Where it cannot be told, so that nobody takes the database for free. */
async function hasOpen(
  host: Host,
  pid: number,
  { dev, ino, name }: Pick<Stats, "dev" | "ino"> & { readonly name: string },
): Promise<boolean> {
  const folder = `/proc/${pid}/fd`;
  try {
    for (const fd of await host.names(folder)) {
      const file = host.at(`${folder}/${fd}`);
      // A file elsewhere may be on a dead server's file system: it is not touched.
      if (path.basename(await readlink(file).catch(() => "")) !== name) continue;
      const its = await stat(file).catch(() => undefined);
      if (its?.dev === dev && its.ino === ino) return true;
    }
    return false;
  } catch (error) {
    return ["EACCES", "EPERM"].includes(errnoOf(error) ?? "");
  }
}
