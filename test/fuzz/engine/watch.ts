// SPDX-License-Identifier: Apache-2.0
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { readCurrent } from "./current-input.ts";

// A process in an endless loop cannot watch itself, and one that asks for all memory ends without a word. Times are
// those of the processor: on a busy machine an input of a millisecond can take a second.

const pollMs = 100;
const hangCpuMs = 1000;
/** Of the other threads too: they compress, and collect garbage beside the main one. */
const hangAllThreadsMs = 5000;
/** With all threads asleep, whatever they wait for. */
const hangIdleMs = 2000;
/** Whatever it does, say in a process of its own. */
const hangWallMs = 60_000;
/** Between inputs: above all it loads the code, and makes a found input shorter. */
const ownWorkMs = 120_000;
const maxRssBytes = 1024 * 1024 * 1024;
const tickMs = 10;
const pageBytes = 4096;

export interface Trouble {
  readonly problem: "hangs" | "memory";
  readonly text: string;
}

/** Watches a process that fuzzes until `signal`; resolves early with what is wrong. */
export async function watch(
  pid: number,
  currentFile: string,
  signal: AbortSignal,
): Promise<Trouble | undefined> {
  let begun = -1;
  let doing = "";
  let since = performance.now();
  let atStart = usage(pid);
  let before = atStart;
  let idleMs = 0;
  for (;;) {
    try {
      await setTimeout(pollMs, undefined, { signal });
    } catch {
      return undefined;
    }
    const now = usage(pid);
    const current = readCurrent(currentFile);
    if (now === undefined) continue;
    if (now.rssBytes > maxRssBytes) {
      return { problem: "memory", text: `takes ${now.rssBytes >> 20} MiB of memory` };
    }
    if (current?.begun !== begun || current.doing !== doing || atStart === undefined) {
      begun = current?.begun ?? -1;
      doing = current?.doing ?? "";
      since = performance.now();
      atStart = now;
      before = now;
      idleMs = 0;
      continue;
    }
    const wallMs = performance.now() - since;
    if (current.doing !== "input") {
      if (wallMs > ownWorkMs) {
        return { problem: "hangs", text: `is at its own work for ${ownWorkMs} ms` };
      }
      continue;
    }
    const isIdle = !now.isRunning && now.allMs === before?.allMs;
    idleMs = isIdle ? idleMs + pollMs : 0;
    before = now;
    const mainMs = now.mainMs - atStart.mainMs;
    const allMs = now.allMs - atStart.allMs;
    if (mainMs >= hangCpuMs || allMs >= hangAllThreadsMs) {
      return {
        problem: "hangs",
        text: `takes more than ${Math.max(mainMs, allMs)} ms of processor time`,
      };
    }
    if (idleMs >= hangIdleMs) return { problem: "hangs", text: `waits, asleep, for ${idleMs} ms` };
    if (wallMs >= hangWallMs) return { problem: "hangs", text: `takes ${hangWallMs} ms` };
  }
}

interface Usage {
  readonly mainMs: number;
  readonly allMs: number;
  readonly isRunning: boolean;
  readonly rssBytes: number;
}

function usage(pid: number): Usage | undefined {
  try {
    const threads = readdirSync(`/proc/${pid}/task`).map((tid) => statOf(pid, tid));
    const main = statOf(pid, String(pid));
    const all = statOf(pid);
    const pages = Number(readFileSync(`/proc/${pid}/statm`, "latin1").split(" ")[1]);
    return {
      mainMs: main.cpuMs,
      allMs: all.cpuMs,
      isRunning: threads.some(({ state }) => state !== "S"),
      rssBytes: pages * pageBytes,
    };
  } catch {
    return undefined;
  }
}

function statOf(pid: number, tid?: string): { state: string; cpuMs: number } {
  const file = tid === undefined ? `/proc/${pid}/stat` : `/proc/${pid}/task/${tid}/stat`;
  const text = readFileSync(file, "latin1");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return { state: fields[0] ?? "", cpuMs: (Number(fields[11]) + Number(fields[12])) * tickMs };
}
