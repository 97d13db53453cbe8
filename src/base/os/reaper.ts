// SPDX-License-Identifier: Apache-2.0

import { constants } from "node:os";
import { isMainThread } from "node:worker_threads";
import { startInterval, type Timer } from "../timers.ts";
import { libc } from "./libc.ts";

const cWaitpid = libc("int waitpid(int pid, void *status, int options)");
const noHang = 1;
/**
 * Signals reach only the main thread. Other threads check this often, and the main thread in case a signal was lost.
 */
const lookAgainMs = isMainThread ? 1_000 : 5;
/** The same where nobody waits: for shims, whose end shows at their connection. */
const lookAgainIdleMs = isMainThread ? 30_000 : 5;

/** How a process ended: one of the two is set; neither when somebody else reaped it. */
export interface Ending {
  readonly exitCode: number | undefined;
  readonly signal: string | undefined;
}

interface Child {
  readonly keepsAlive: boolean;
  settle(ending: Ending): void;
}

const children = new Map<number, Child>();
let timer: Timer | undefined;
let timerMs = 0;
let isListening = false;

export interface ReapOptions {
  /** Holds the event loop open. */
  readonly keepsAlive: boolean;
  /** The turn of the spawn is over, so that the child's signal may have come and gone. */
  readonly isLate?: boolean;
}

/**
 * Waits for a child that `spawnProcess` started, in the turn of the spawn unless it says otherwise. Only
 * these pids are reaped: libuv's own children stay libuv's.
 */
export function reap(pid: number, options: ReapOptions): Promise<Ending> {
  const { promise, resolve } = Promise.withResolvers<Ending>();
  children.set(pid, { keepsAlive: options.keepsAlive, settle: resolve });
  const wasListening = isListening;
  listen();
  // It may have ended already, before the signal was listened for.
  if (isMainThread && (!wasListening || options.isLate === true)) look();
  return promise;
}

function listen(): void {
  if (isMainThread && !isListening) {
    process.on("SIGCHLD", look);
    isListening = true;
  }
  const isWaitedFor = children.values().some((child) => child.keepsAlive);
  const wantedMs = isWaitedFor ? lookAgainMs : lookAgainIdleMs;
  if (timer === undefined || timerMs !== wantedMs) {
    timer?.stop();
    timer = startInterval(look, wantedMs);
    timerMs = wantedMs;
  }
  if (isWaitedFor) timer.ref();
  else timer.unref();
}

function look(): void {
  const status = Buffer.alloc(4);
  for (const [pid, child] of children) {
    const answer = cWaitpid(pid, status, noHang);
    if (answer === 0) continue;
    children.delete(pid);
    child.settle(
      answer === pid ? endingOf(status.readInt32LE(0)) : { exitCode: undefined, signal: undefined },
    );
  }
  if (children.size > 0) return listen();
  timer?.stop();
  timer = undefined;
  process.off("SIGCHLD", look);
  isListening = false;
}

function endingOf(status: number): Ending {
  const number = status & 0x7f;
  if (number === 0) return { exitCode: (status >> 8) & 0xff, signal: undefined };
  const name = Object.entries(constants.signals).find(([, value]) => value === number)?.[0];
  return { exitCode: undefined, signal: name ?? `SIG${number}` };
}
