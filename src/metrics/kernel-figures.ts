// SPDX-License-Identifier: Apache-2.0
import type { Worker } from "node:worker_threads";
import { fault } from "../base/errors.ts";
import { ourShares } from "../base/memory/memory-shares.ts";
import { endThread, startThread } from "../base/threads/thread.ts";
import { type OneTimer, startTimer } from "../base/timers.ts";
import type { CgroupPaths } from "./cgroup/cgroup-layout.ts";
import { processControllers } from "./cgroup/cgroup-processes.ts";
import type { CgroupUsage } from "./cgroup/cgroup-sample.ts";
import { usageControllers } from "./cgroup/cgroup-v1.ts";
import type { InterfaceCounters } from "./interface-counters.ts";
import {
  type FigureAnswer,
  type FigureRequest,
  type FiguresThreadData,
  type NumberedRequest,
  type TaskFigures,
} from "./kernel-figures-requests.ts";

/** A read takes microseconds, a millisecond where a cgroup has hundreds below it. */
const stuckMs = 5_000;
/** How long a thread may take until it reads, on a machine that is busy. */
const startMs = 30_000;
/** What was being read when the thread stood still is not read again for so long. */
const avoidMs = 60_000;
/** Threads that stand still in the kernel and cannot be ended; with as many nothing is read any more. */
const mostStuck = 4;
/** A kubelet asks every ten seconds. */
const idleMs = 60_000;

interface Waiting extends PromiseWithResolvers<unknown> {
  readonly request: FigureRequest;
}

export interface KernelFiguresOptions {
  /** The thread's module; another only in tests. */
  readonly entry?: URL;
  readonly stuckMs?: number;
}

/**
 * Reads figures of the kernel, from cgroup files and /proc, in a thread of its own: a container has some twenty files,
 * and read one by one with promises they took a hundred times longer, most of it on the main thread. What is
 * asked in one turn goes over in one message. The thread starts with the first request and ends when none has come for a
 * minute.
 *
 * A thread has thirty seconds to begin. A read that the kernel does not end fails after five seconds, UNAVAILABLE, and is not tried again for a minute; the others
 * that wait are read by another thread. All reject with UNAVAILABLE once it is disposed.
 */
export class KernelFigures implements AsyncDisposable {
  readonly #entry: URL;
  readonly #stuckMs: number;
  readonly #waiting = new Map<number, Waiting>();
  readonly #avoided = new Map<string, number>();
  readonly #stuck = new Set<Worker>();
  #worker: Worker | undefined;
  /** The number of the request that the thread reads. */
  #reading = sharedNumber();
  /** Whether the thread has begun. */
  #isReady = false;
  #sequence = 0;
  #batch: NumberedRequest[] = [];
  /** Runs while something waits, anew with each answer. */
  #stuckTimer: OneTimer | undefined;
  #idleTimer: OneTimer | undefined;
  #isClosed = false;

  constructor({ entry, stuckMs: limit }: KernelFiguresOptions = {}) {
    this.#entry = entry ?? new URL("./kernel-figures-thread.ts", import.meta.url);
    this.#stuckMs = limit ?? stuckMs;
  }

  /** What CRI's stats tell of a cgroup; undefined when it is gone. */
  usage(paths: CgroupPaths): Promise<CgroupUsage | undefined> {
    return this.#ask({ kind: "usage", paths: only(paths, usageControllers) }) as Promise<
      CgroupUsage | undefined
    >;
  }

  /** As countProcesses. */
  processes(paths: CgroupPaths): Promise<number | undefined> {
    return this.#ask({ kind: "processes", paths: only(paths, processControllers) }) as Promise<
      number | undefined
    >;
  }

  /** As readInterfaceCounters. */
  interfaces(pid: number): Promise<InterfaceCounters[]> {
    return this.#ask({ kind: "interfaces", pid }) as Promise<InterfaceCounters[]>;
  }

  /** All that a scrape wants of one task. */
  task(paths: CgroupPaths, pid: number, withInterfaces: boolean): Promise<TaskFigures> {
    return this.#ask({ kind: "task", paths, pid, withInterfaces }) as Promise<TaskFigures>;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#stuckTimer?.stop();
    this.#idleTimer?.stop();
    const worker = this.#worker;
    this.#worker = undefined;
    this.#rejectAll("the reader of figures has ended");
    if (worker) await endThread(worker);
  }

  async #ask(request: FigureRequest): Promise<unknown> {
    this.#refuse(request);
    this.#sequence = (this.#sequence + 1) | 0; // as the thread writes it
    const sequence = this.#sequence;
    const waiting = { request, ...Promise.withResolvers<unknown>() };
    this.#waiting.set(sequence, waiting);
    if (this.#batch.push({ sequence, request }) === 1) setImmediate(() => this.#send());
    return waiting.promise;
  }

  #refuse(request: FigureRequest): void {
    if (this.#isClosed) throw fault("UNAVAILABLE", "the reader of figures has ended");
    const key = keyOf(request);
    const until = this.#avoided.get(key);
    if (until === undefined) return;
    if (performance.now() < until)
      throw fault("UNAVAILABLE", `${key} cannot be read: a read hangs`);
    this.#avoided.delete(key);
  }

  #send(): void {
    const batch = this.#batch;
    this.#batch = [];
    if (this.#isClosed || batch.length === 0) return;
    if (this.#stuck.size >= mostStuck) {
      this.#rejectAll(`${mostStuck} readers of figures hang in the kernel`);
      return;
    }
    this.#worker ??= this.#spawn();
    this.#worker.ref();
    this.#worker.postMessage(batch, []);
    this.#idleTimer?.stop();
    const limitMs = this.#isReady ? this.#stuckMs : startMs;
    this.#stuckTimer ??= startTimer(() => this.#replace(), limitMs);
  }

  /** It begins to read: from here on it is the kernel that is slow. */
  #begin(): void {
    this.#isReady = true;
    if (this.#stuckTimer === undefined) return;
    this.#stuckTimer.stop();
    this.#stuckTimer = startTimer(() => this.#replace(), this.#stuckMs);
  }

  #spawn(): Worker {
    this.#isReady = false;
    this.#reading = sharedNumber();
    const workerData: FiguresThreadData = { reading: this.#reading };
    const worker = startThread(this.#entry, {
      workerData,
      name: "berth-figures",
      execArgv: [],
      trackUnmanagedFds: false,
      heapMiB: ourShares().treeHeapMiB,
    });
    worker.on("message", (answers: readonly FigureAnswer[] | undefined) => {
      if (worker !== this.#worker) return;
      if (answers === undefined) this.#begin();
      else this.#receive(answers);
    });
    worker.on("error", () => {}); // its exit follows
    worker.on("exit", () => {
      this.#stuck.delete(worker);
      if (worker !== this.#worker) return;
      this.#worker = undefined; // the next request starts another
      this.#rejectAll("the reader of figures has ended before it answered");
    });
    return worker;
  }

  #receive(answers: readonly FigureAnswer[]): void {
    for (const { sequence, value, failure } of answers) {
      const waiting = this.#waiting.get(sequence);
      this.#waiting.delete(sequence);
      if (failure === undefined) waiting?.resolve(value);
      else waiting?.reject(fault("UNKNOWN", failure));
    }
    this.#stuckTimer?.refresh();
    if (this.#waiting.size === 0) this.#rest();
  }

  #rest(): void {
    this.#stuckTimer?.stop();
    this.#stuckTimer = undefined;
    this.#worker?.unref();
    this.#idleTimer = startTimer(() => this.#endIdle(), idleMs).unref();
  }

  /** What the thread has said that it reads is what hangs. */
  #replace(): void {
    this.#stuckTimer = undefined;
    const hanging = this.#worker;
    this.#worker = undefined;
    if (hanging) {
      this.#stuck.add(hanging);
      hanging.unref();
      void endThread(hanging);
    }
    if (this.#waiting.size > 0 && !this.#isReady) {
      this.#rejectAll(`the reader of figures has not begun within ${startMs / 1000} s`);
      return;
    }
    const sequence = this.#sequenceOfHanging();
    const hung = this.#waiting.get(sequence);
    if (hung) {
      const { request, reject } = hung;
      this.#waiting.delete(sequence);
      this.#avoid(keyOf(request));
      reject(
        fault("UNAVAILABLE", `reading ${keyOf(request)} took longer than ${this.#stuckMs} ms`),
      );
    }
    const known = new Set(this.#batch.map((one) => one.sequence));
    // Some of these have been read, and their answers were not sent yet.
    const again = [...this.#waiting].flatMap(([number, { request }]) =>
      known.has(number) ? [] : [{ sequence: number, request }],
    );
    this.#batch.unshift(...again);
    this.#send();
  }

  /** The first that waits where the thread stands still outside of a read: they are read in turn. */
  #sequenceOfHanging(): number {
    const said = Atomics.load(this.#reading, 0);
    if (this.#waiting.has(said)) return said;
    const [first = 0] = this.#waiting.keys();
    return first;
  }

  #avoid(key: string): void {
    const now = performance.now();
    for (const [other, until] of this.#avoided) if (until <= now) this.#avoided.delete(other);
    this.#avoided.set(key, now + avoidMs);
  }

  #endIdle(): void {
    if (this.#worker) void endThread(this.#worker);
    this.#worker = undefined;
  }

  #rejectAll(why: string): void {
    const all = [...this.#waiting.values()];
    this.#waiting.clear();
    this.#batch = [];
    this.#stuckTimer?.stop();
    this.#stuckTimer = undefined;
    for (const { reject } of all) reject(fault("UNAVAILABLE", why));
  }
}

function sharedNumber(): Int32Array<SharedArrayBuffer> {
  return new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
}

/** A host has a dozen hierarchies, and the names of all would be copied for each request. */
function only(paths: CgroupPaths, controllers: readonly string[]): CgroupPaths {
  if (paths.version === 2) return paths;
  const folders: Record<string, string> = {};
  for (const controller of controllers) {
    const folder = paths.folders[controller];
    if (folder !== undefined) folders[controller] = folder;
  }
  return { version: 1, folders };
}

function keyOf(request: FigureRequest): string {
  if (request.kind === "interfaces") return `/proc/${request.pid}/net/dev`;
  const { paths } = request;
  return paths.version === 2 ? paths.folder : (paths.folders["memory"] ?? "cgroup");
}
