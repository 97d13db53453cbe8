// SPDX-License-Identifier: Apache-2.0
import type { Worker } from "node:worker_threads";
import type { Cancellable } from "../base/cancellable.ts";
import { fault } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import { ourShares } from "../base/memory/memory-shares.ts";
import { onAbort } from "../base/on-abort.ts";
import { endThread, startThread } from "../base/threads/thread.ts";
import { startTimer, type Timer } from "../base/timers.ts";
import { Descriptors } from "./descriptors.ts";
import type { JobKind, JobRequest, JobResult } from "./jobs.ts";
import type { TreeAnswer, TreeRequest, TreeWorkerData } from "./messages.ts";
import type { TreeWork } from "./ports.ts";

const workerModule = new URL("./worker.ts", import.meta.url);
/** Jobs need little memory: this is for when something goes wrong. */
const heapMiB = ourShares().treeHeapMiB;

export interface TreeWorkerOptions {
  /** Of the thread, at most 15 characters: `berth-…`. */
  readonly name: string;
  readonly log: Logger;
  /** How much lower than the daemon's its priority is; 0 to 19. */
  readonly niceness: number;
  /** Jobs that take turns with one another. Default 4. */
  readonly running?: number;
  /** Jobs that wait to be among them. Default 1000. */
  readonly waiting?: number;
  /** A thread without work ends after this. Default 10000. */
  readonly idleMs?: number;
  /** Module the worker starts with; for tests of its death. */
  readonly entry?: URL;
}

interface Pending {
  readonly job: string;
  readonly request: unknown;
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
}

/**
 * A thread for jobs on foreign trees, at a low priority, started by the first job and ended when there were none for
 * a while. When it dies only the jobs that had begun fail: those that wait go to the next thread.
 */
export class TreeWorker implements TreeWork, AsyncDisposable {
  readonly #options: TreeWorkerOptions;
  readonly #waiting = new Map<number, Pending>();
  readonly #running = new Map<number, Pending>();
  #worker: Worker | undefined;
  #idle: Timer | undefined;
  #sequence = 0;
  #isClosed = false;

  constructor(options: TreeWorkerOptions) {
    this.#options = options;
  }

  async run<K extends JobKind>(
    kind: K,
    request: JobRequest<K>,
    { signal }: Cancellable,
  ): Promise<JobResult<K>> {
    signal.throwIfAborted();
    const { name, waiting = 1000 } = this.#options;
    if (this.#isClosed) throw fault("UNAVAILABLE", `${name} is closed`);
    if (this.#waiting.size >= waiting) {
      throw fault("RESOURCE_EXHAUSTED", `${name} has ${waiting} jobs waiting already`);
    }
    const { promise, resolve, reject } = Promise.withResolvers<JobResult<K>>();
    this.#sequence += 1;
    const id = this.#sequence;
    this.#waiting.set(id, { job: kind, request, resolve, reject });
    using _reaction = onAbort(signal, (reason) => this.#cancel(id, reason));
    this.#dispatch();
    return await promise;
  }

  /** Ends all jobs at once. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#idle?.stop();
    const closed = fault("UNAVAILABLE", `${this.#options.name} is closed`);
    for (const { reject } of this.#waiting.values()) reject(closed);
    this.#waiting.clear();
    if (this.#worker) await endThread(this.#worker);
  }

  #cancel(id: number, reason: Error): void {
    const pending = this.#waiting.get(id) ?? this.#running.get(id);
    this.#waiting.delete(id);
    if (this.#running.delete(id)) this.#post({ kind: "cancel", id });
    pending?.reject(reason);
    this.#dispatch();
  }

  #dispatch(): void {
    for (const [id, pending] of this.#waiting) {
      if (this.#running.size >= (this.#options.running ?? 4)) return;
      this.#worker ??= this.#spawn();
      this.#worker.ref();
      this.#waiting.delete(id);
      this.#running.set(id, pending);
      this.#post({ kind: "run", id, job: pending.job, request: pending.request });
    }
    this.#idle?.stop();
    if (this.#running.size > 0 || this.#worker === undefined) return;
    const worker = this.#worker;
    worker.unref();
    this.#idle = startTimer(() => this.#end(worker), this.#options.idleMs ?? 10_000).unref();
  }

  #post(request: TreeRequest): void {
    this.#worker?.postMessage(request, []);
  }

  #spawn(): Worker {
    const { name, niceness, log, entry = workerModule } = this.#options;
    const descriptors = new Descriptors();
    const data: TreeWorkerData = { descriptors: descriptors.memory, niceness };
    const worker = startThread(entry, {
      name,
      workerData: data,
      execArgv: [],
      trackUnmanagedFds: false,
      heapMiB,
    });
    worker.on("message", (answer: TreeAnswer) => this.#answered(answer));
    worker.on("error", (err) => log.error({ err, thread: name }, "tree worker failed"));
    worker.on("exit", () => {
      descriptors.closeAll();
      this.#died(worker);
    });
    return worker;
  }

  #answered(answer: TreeAnswer): void {
    const pending = this.#running.get(answer.id);
    this.#running.delete(answer.id);
    if (answer.ok) pending?.resolve(answer.value as never);
    else pending?.reject(fault(answer.code, answer.message));
    this.#dispatch();
  }

  #end(worker: Worker): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    void endThread(worker); // never rejects
  }

  #died(worker: Worker): void {
    if (this.#worker !== worker) return; // it was idle, and has no jobs
    this.#worker = undefined;
    const { log, name } = this.#options;
    const ended = fault("UNAVAILABLE", `${name} ended`);
    const lost = [...this.#running.values()];
    this.#running.clear();
    for (const { reject } of lost) reject(ended);
    if (this.#isClosed) return;
    log.error({ thread: name, jobs: lost.length }, "tree worker ended");
    this.#dispatch();
  }
}
