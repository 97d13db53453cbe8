// SPDX-License-Identifier: Apache-2.0

import { opendirSync, readFileSync } from "node:fs";
import { sleep } from "../timers.ts";

/** A process, distinguished from a later one with the same pid by its start time (clock ticks since boot). */
export interface ProcessIdentity {
  readonly pid: number;
  readonly startTime: string;
}

export interface NamedProcess extends ProcessIdentity {
  /** What its program is called, at most 15 bytes; a process can change it. */
  readonly name: string;
}

/**
 * The identity of a live process; undefined when it is gone or a zombie. `kill(pid, 0)` does not show that:
 * it succeeds for zombies, which stay where nobody reaps. A process whose first thread has ended and others have not lives.
 */
export function identify(pid: number): NamedProcess | undefined {
  if (pid <= 0) return undefined;
  try {
    return parseStat(pid, readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return undefined;
  }
}

/** Reads /proc/PID/stat; undefined for a zombie. Exported for tests, in which other threads live or not. */
export function parseStat(
  pid: number,
  stat: string,
  thread: (pid: number) => number | undefined = livingThread,
): NamedProcess | undefined {
  const fields = statFields(stat);
  if (isOver(fields) || (fields[0] === "Z" && thread(pid) === undefined)) return undefined;
  const name = stat.slice(stat.indexOf("(") + 1, stat.lastIndexOf(")"));
  return { pid, startTime: fields[19] ?? "", name };
}

/**
 * Whether a process has ended as far as these fields tell. The state is that of its first thread, which a program may end
 * alone: then it is "Z", and the number of threads, of which that one counts, says that there are more. Those may have
 * ended as well, and be held by who traces them: `livingThread` knows.
 */
export function isOver(fields: readonly string[]): boolean {
  const [state] = fields;
  return state === undefined || state === "X" || (state === "Z" && Number(fields[17]) < 2);
}

/** What /proc/PID/stat has behind the name, the state first. The name may hold spaces and parentheses: fields count from the last one. */
export function statFields(stat: string): readonly string[] {
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
}

/**
 * True once that very process has ended, reaped or not. Not the opposite of `isAlive`: of what cannot be looked at, for want of
 * descriptors say, neither is known.
 */
export function hasEnded(process: ProcessIdentity): boolean {
  try {
    const stat = readFileSync(`/proc/${process.pid}/stat`, "utf8");
    return parseStat(process.pid, stat)?.startTime !== process.startTime;
  } catch (error) {
    return isGoneError(error);
  }
}

/**
 * The exit status that a process left behind which has ended and was not reaped: its own, or 128 and the signal's number.
 * undefined when it lives, or nothing is left of it.
 */
export function unreapedExit({ pid, startTime }: ProcessIdentity): number | undefined {
  let fields: readonly string[];
  try {
    fields = statFields(readFileSync(`/proc/${pid}/stat`, "utf8"));
    if (fields[0] !== "Z" || livingThread(pid) !== undefined) return undefined;
  } catch {
    return undefined;
  }
  const code = Number(fields[49]); // as wait(2) answers it
  if (fields[19] !== startTime || !Number.isInteger(code)) return undefined;
  const signal = code & 0x7f;
  return signal === 0 ? (code >> 8) & 0xff : 128 + signal;
}

/** So many threads of a process are looked at; of one whose first so many have all ended none is taken to live. */
const mostThreads = 256;

/** A thread of a process that lives, its first one as a rule; undefined where none does. Throws where it cannot be looked at. */
export function livingThread(pid: number): number | undefined {
  try {
    using threads = opendirSync(`/proc/${pid}/task`);
    for (let looked = 0; looked < mostThreads; looked += 1) {
      const name = threads.readSync()?.name;
      if (name === undefined) return undefined;
      const [state] = statFields(textOf(`/proc/${pid}/task/${name}/stat`));
      if (state !== undefined && !/^[ZX]?$/.test(state)) return Number(name);
    }
  } catch (error) {
    if (!isGoneError(error)) throw error;
  }
  return undefined;
}

/** "" of what is gone. */
function textOf(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if (!isGoneError(error)) throw error;
    return "";
  }
}

function isGoneError(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === "ENOENT" || code === "ESRCH";
}

/** True while that very process lives: a thread of it at least. */
export function isAlive(process: ProcessIdentity): boolean {
  return identify(process.pid)?.startTime === process.startTime;
}

/** Sends a signal to that very process; false when it is gone. */
export function killProcess(target: ProcessIdentity, signal: NodeJS.Signals | number): boolean {
  if (!isAlive(target)) return false;
  try {
    return process.kill(target.pid, signal);
  } catch {
    return false;
  }
}

/** Waits until the process is gone; false when the signal came first. Polls: it is no child of ours. */
export async function waitUntilGone(
  target: ProcessIdentity,
  signal: AbortSignal,
): Promise<boolean> {
  for (let delayMs = 1; isAlive(target); delayMs = Math.min(delayMs * 2, 50)) {
    if (signal.aborted) return false;
    await sleep(delayMs);
  }
  return true;
}
