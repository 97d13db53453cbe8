// SPDX-License-Identifier: Apache-2.0
import { readStart } from "../../base/read-bounded.ts";
import type { Host } from "../host.ts";

/** Who has it open, by the kernel's list of locks: a daemon holds its database as long as it runs. */
export async function holdersOf(host: Host, database: string): Promise<readonly number[]> {
  const facts = await host.stat(database);
  if (facts === undefined) return [];
  const text = (await readStart(host.at("/proc/locks"), 1024 * 1024).catch(() => "")).toString();
  return text.split("\n").flatMap((line) => {
    const fields = line.split(/\s+/);
    const at = fields.findIndex((word) => word.endsWith(`:${facts.ino}`));
    return at > 0 ? [Number(fields[at - 1])] : [];
  });
}
