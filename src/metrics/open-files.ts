// SPDX-License-Identifier: Apache-2.0
import { opendir, readFile, readlink, stat } from "node:fs/promises";

/** Open files of a set of processes. */
export interface OpenFiles {
  readonly descriptors: number;
  readonly sockets: number;
}

/** Beyond these a count is a lower bound: the cost of a scrape must not be up to a busy container. */
const maxProcesses = 128;
const maxLinks = 2048;

export interface OpenFilesOptions {
  readonly signal: AbortSignal;
  /** How many descriptors are looked at one by one, for sockets. Default 2048. */
  readonly links?: number;
}

/**
 * Counts descriptors and sockets of the first processes. The kernel reports how many descriptors there are since
 * 6.2; before it, and for sockets, they are looked at one by one, up to a bound. A process that goes
 * meanwhile counts 0. Rejects when the signal fires.
 */
export async function countOpenFiles(
  pids: readonly number[],
  { signal, links = maxLinks }: OpenFilesOptions,
): Promise<OpenFiles> {
  let descriptors = 0;
  let sockets = 0;
  let left = links;
  for (const pid of pids.slice(0, maxProcesses)) {
    signal.throwIfAborted();
    const folder = `/proc/${pid}/fd`;
    const names = await firstNames(folder, left);
    left -= names.length;
    const own = await stat(folder).catch(() => undefined);
    descriptors += Math.max(own?.size ?? 0, names.length);
    for (const name of names) {
      signal.throwIfAborted();
      const target = await readlink(`${folder}/${name}`).catch(() => "");
      if (target.startsWith("socket:")) sockets += 1;
    }
  }
  return { descriptors, sockets };
}

async function firstNames(folder: string, max: number): Promise<string[]> {
  const names: string[] = [];
  if (max <= 0) return names;
  try {
    for await (const { name } of await opendir(folder, { bufferSize: 64 })) {
      names.push(name);
      if (names.length >= max) break;
    }
  } catch {
    // gone meanwhile
  }
  return names;
}

/** The soft limit of open files of a process; undefined when it is gone or has none. */
export async function openFilesLimit(pid: number): Promise<number | undefined> {
  const text = await readFile(`/proc/${pid}/limits`, "utf8").catch(() => "");
  return parseOpenFilesLimit(text);
}

/** Reads /proc/PID/limits: a name in words, then soft limit, hard limit and unit. */
export function parseOpenFilesLimit(text: string): number | undefined {
  const soft = /^Max open files[^\S\n\r\u2028\u2029]+(\S+)/m.exec(text)?.[1];
  return soft !== undefined && /^\d+$/.test(soft) ? Number(soft) : undefined;
}
