// SPDX-License-Identifier: Apache-2.0
import { readlinkSync } from "node:fs";
import { opendir, realpath } from "node:fs/promises";
import path from "node:path";
import { readStart } from "../read-bounded.ts";
import { settlesWithin } from "../waits.ts";
import type { ProcessIdentity } from "./proc.ts";

/** How long a scan of all processes may take: a container may have any number of them. */
const maxScanMs = 5_000;
const namesAtOnce = 128;
const maxArgumentBytes = 4096;
const maxReadMs = 1_000;

/** Which link of /proc/PID shows that a process is ours: its working folder, or its standard input. */
export type ProcessLink = "cwd" | "fd/0";

export interface LinkedProcess {
  readonly pid: number;
  /** What the link leads to, below the folder that was asked for. */
  readonly target: string;
}

/**
 * Processes of which a link leads below `folder`, in this process's namespaces of pids and mounts, where no container
 * is. Of all other processes only links are read: that takes no lock that a process can hold, and reads none of its
 * memory. Ends after some seconds with what it has. `proc` is another folder in tests.
 */
export async function processesBelow(
  folder: string,
  link: ProcessLink,
  { proc = "/proc", maxMs = maxScanMs } = {},
): Promise<LinkedProcess[]> {
  const found: LinkedProcess[] = [];
  const looking = look({ folder, link, proc, until: performance.now() + maxMs }, found);
  if (await settlesWithin(looking, maxMs)) await looking;
  return [...found];
}

interface Look {
  readonly folder: string;
  readonly link: ProcessLink;
  readonly proc: string;
  readonly until: number;
}

async function look({ folder, link, proc, until }: Look, found: LinkedProcess[]): Promise<void> {
  const real = await realpath(folder).catch(() => folder); // links of /proc have no links in them
  const own = namespacesOf(proc, "self");
  // Links are read on this thread: the kernel has them in memory, and the pool took a tenth of a second of the start for those
  // of a hundred pods. After each hundred or so others have their turn, while the pool reads further names.
  for await (const { name } of await opendir(proc, { bufferSize: namesAtOnce })) {
    if (performance.now() > until) return;
    if (!/^\d+$/.test(name)) continue;
    const target = linkOf(`${proc}/${name}/${link}`);
    if (!target.startsWith(`${real}/`) || namespacesOf(proc, name) !== own) continue;
    found.push({ pid: Number(name), target: path.join(folder, target.slice(real.length)) });
  }
}

/** A read that hangs. There is never a second one: each would hold a thread of the pool for ever. */
let hanging: Promise<unknown> | undefined;

/**
 * The arguments of a process, of the first 4 KiB; none when it is gone. They are in that process's memory, and it can
 * make every read of them hang: ask for those of our own programs only. A process that does not answer in a second
 * has none, and while that read hangs no other process has any.
 */
export async function argumentsOf(
  { pid }: Pick<ProcessIdentity, "pid">,
  { proc = "/proc", maxMs = maxReadMs } = {},
): Promise<string[]> {
  if (hanging !== undefined) return [];
  const reading = argumentsIn(`${proc}/${pid}/cmdline`);
  if (!(await settlesWithin(reading, maxMs))) {
    hanging = reading;
    void reading.finally(() => {
      hanging = undefined;
    });
    return [];
  }
  return (await reading).split("\0").slice(0, -1);
}

async function argumentsIn(file: string): Promise<string> {
  try {
    return (await readStart(file, maxArgumentBytes)).toString();
  } catch {
    return "";
  }
}

function namespacesOf(proc: string, pid: string): string {
  const [pids, mounts] = [linkOf(`${proc}/${pid}/ns/pid`), linkOf(`${proc}/${pid}/ns/mnt`)];
  return `${pids} ${mounts}`;
}

function linkOf(file: string): string {
  try {
    return readlinkSync(file);
  } catch {
    return "";
  }
}
