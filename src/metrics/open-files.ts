// SPDX-License-Identifier: Apache-2.0
import { opendirSync, readFileSync, readlinkSync, statSync } from "node:fs";

/** Open files of a set of processes. */
export interface OpenFiles {
  readonly descriptors: number;
  readonly sockets: number;
}

/** Beyond these a count is a lower bound: the cost of a scrape must not be up to a busy container. */
const maxProcesses = 128;
const maxLinks = 2048;

/**
 * Counts descriptors and sockets of the first processes. The kernel reports how many descriptors there are since
 * 6.2; before it, and for sockets, they are looked at one by one, up to a bound. A process that goes
 * meanwhile counts 0. Waits for the kernel: for a thread that may.
 */
export function countOpenFiles(pids: readonly number[], links = maxLinks): OpenFiles {
  let descriptors = 0;
  let sockets = 0;
  let left = links;
  for (const pid of pids.slice(0, maxProcesses)) {
    const folder = `/proc/${pid}/fd`;
    const names = firstNames(folder, left);
    left -= names.length;
    const own = attempt(() => statSync(folder));
    descriptors += Math.max(own?.size ?? 0, names.length);
    for (const name of names) {
      const target = attempt(() => readlinkSync(`${folder}/${name}`));
      if (target?.startsWith("socket:")) sockets += 1;
    }
  }
  return { descriptors, sockets };
}

function firstNames(folder: string, max: number): string[] {
  const names: string[] = [];
  const open = attempt(() => opendirSync(folder, { bufferSize: 64 }));
  if (open === undefined) return names;
  try {
    while (names.length < max) {
      const entry = attempt(() => open.readSync());
      if (!entry) break;
      names.push(entry.name);
    }
  } finally {
    open.closeSync();
  }
  return names;
}

/** undefined for what fails: the process has gone meanwhile. */
function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** The soft limit of open files of a process; undefined when it is gone or has none. */
export function openFilesLimit(pid: number): number | undefined {
  const text = attempt(() => readFileSync(`/proc/${pid}/limits`, "utf8"));
  return parseOpenFilesLimit(text ?? "");
}

/** Reads /proc/PID/limits: a name in words, then soft limit, hard limit and unit. */
export function parseOpenFilesLimit(text: string): number | undefined {
  const soft = /^Max open files[^\S\n\r\u2028\u2029]+(\S+)/m.exec(text)?.[1];
  return soft !== undefined && /^\d+$/.test(soft) ? Number(soft) : undefined;
}
