// SPDX-License-Identifier: Apache-2.0
import { readdir, readFile, readlink } from "node:fs/promises";

/** Open files of a set of processes. */
export interface OpenFiles {
  readonly descriptors: number;
  readonly sockets: number;
}

/** Beyond these a count is a lower bound: a scrape must not cost what a busy container likes. */
const maxProcesses = 128;
const maxLinks = 2048;

/** Counts descriptors and sockets by walking /proc/PID/fd; a process that goes meanwhile counts 0. */
export async function countOpenFiles(pids: readonly number[]): Promise<OpenFiles> {
  let descriptors = 0;
  let sockets = 0;
  let linksLeft = maxLinks;
  for (const pid of pids.slice(0, maxProcesses)) {
    const folder = `/proc/${pid}/fd`;
    const names = await readdir(folder).catch(() => []);
    descriptors += names.length;
    const looked = names.slice(0, linksLeft);
    linksLeft -= looked.length;
    const targets = await Promise.all(
      looked.map((name) => readlink(`${folder}/${name}`).catch(() => "")),
    );
    sockets += targets.filter((target) => target.startsWith("socket:")).length;
  }
  return { descriptors, sockets };
}

/** The soft limit of open files of a process; undefined when it is gone or has none. */
export async function openFilesLimit(pid: number): Promise<number | undefined> {
  const text = await readFile(`/proc/${pid}/limits`, "utf8").catch(() => "");
  return parseOpenFilesLimit(text);
}

/** Reads /proc/PID/limits: a name in words, then soft limit, hard limit and unit. */
export function parseOpenFilesLimit(text: string): number | undefined {
  const soft = /^Max open files\s+(\S+)/m.exec(text)?.[1];
  return soft !== undefined && /^\d+$/.test(soft) ? Number(soft) : undefined;
}
