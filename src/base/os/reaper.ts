// SPDX-License-Identifier: Apache-2.0

import { constants } from "node:os";
import { isMainThread } from "node:worker_threads";
import { startInterval, type Timer } from "../timers.ts";
import { libc } from "./libc.ts";

const cWaitpid = libc("int waitpid(int pid, void *status, int options)");
const cWaitid = libc("int waitid(int kind, int id, void *info, int options)");
const noHang = 1;
/** Of wait.h: P_ALL, and WNOHANG, WEXITED and WNOWAIT. */
const allChildren = 0;
const peeking = noHang | 4 | 0x0100_0000;
/** siginfo_t takes 128 bytes; the pid of SIGCHLD stands after three numbers and a gap. */
const infoBytes = 128;
const infoPidAt = 16;
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
/** How many of them hold the event loop open. */
let waitedFor = 0;
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
  if (options.keepsAlive) waitedFor += 1;
  const wasListening = isListening;
  listen();
  // It may have ended already, before the signal was listened for.
  if (isMainThread && (!wasListening || options.isLate === true)) collect(pid);
  return promise;
}

function listen(): void {
  if (isMainThread && !isListening) {
    process.on("SIGCHLD", lookForEnded);
    isListening = true;
  }
  const wantedMs = waitedFor > 0 ? lookAgainMs : lookAgainIdleMs;
  if (timer === undefined || timerMs !== wantedMs) {
    timer?.stop();
    timer = startInterval(look, wantedMs);
    timerMs = wantedMs;
  }
  if (waitedFor > 0) timer.ref();
  else timer.unref();
}

/**
 * Asks the kernel which children have ended: a node has two that live for each pod, and to ask for each of them at every
 * signal takes longer than all else that the signal is for.
 */
function lookForEnded(): void {
  const info = Buffer.alloc(infoBytes);
  for (;;) {
    info.fill(0);
    if (cWaitid(allChildren, 0, info, peeking) !== 0) return look();
    const pid = info.readInt32LE(infoPidAt);
    if (pid === 0) return;
    // One of libuv's, or another thread's, hides those that ended after it.
    if (!children.has(pid)) return look();
    collect(pid);
  }
}

/** Asks for each of ours. */
function look(): void {
  for (const pid of children.keys()) collect(pid);
}

/** Settles what waits for a child, if that has ended. */
function collect(pid: number): void {
  const child = children.get(pid);
  const status = Buffer.alloc(4);
  const answer = cWaitpid(pid, status, noHang);
  if (answer === 0 || child === undefined) return;
  children.delete(pid);
  if (child.keepsAlive) waitedFor -= 1;
  child.settle(
    answer === pid ? endingOf(status.readInt32LE(0)) : { exitCode: undefined, signal: undefined },
  );
  if (children.size > 0) return listen();
  timer?.stop();
  timer = undefined;
  process.off("SIGCHLD", lookForEnded);
  isListening = false;
}

function endingOf(status: number): Ending {
  const number = status & 0x7f;
  if (number === 0) return { exitCode: (status >> 8) & 0xff, signal: undefined };
  const name = Object.entries(constants.signals).find(([, value]) => value === number)?.[0];
  return { exitCode: undefined, signal: name ?? `SIG${number}` };
}
