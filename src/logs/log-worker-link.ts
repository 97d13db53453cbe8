// SPDX-License-Identifier: Apache-2.0

import type { Worker } from "node:worker_threads";
import { fault, type RuntimeFault, toFault } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import { ourShares } from "../base/memory/memory-shares.ts";
import { endThread, startThread } from "../base/threads/thread.ts";
import { startTimer, type Timer } from "../base/timers.ts";
import { settlesWithin } from "../base/waits.ts";
import { BusyMark, type BusyWith } from "./busy-mark.ts";
import { watchForHangs } from "./hang-watch.ts";
import type { LogNotice, LogRequest, LogWorkerData } from "./messages.ts";

const workerModule = new URL("./worker.ts", import.meta.url);
/** A worker that lived shorter than this is restarted with a delay. */
const shortLifeMs = 10_000;
const restartDelayMs = 1000;
/** How long the worker may take to answer: it opens and writes files, and a disk may hang. */
const defaultAnswerMs = 20_000;
/** How long one piece of work may take before others are served by another worker. */
const defaultHangMs = 5_000;
/** How many workers may wait for a disk, each a thread; with so many, the next one that hangs is waited for. */
const maxStuck = 4;

export interface LinkEvents {
  onNotice(notice: LogNotice): void;
  /** A new worker has replaced one that died; it knows no container yet. */
  onRestart(): void;
  /**
   * The worker has been at this work for too long: the disk of a log may hang. Called again and again while that
   * lasts.
   */
  onHang(work: BusyWith): void;
}

interface Waiting {
  readonly request: LogRequest;
  readonly resolve: () => void;
  readonly reject: (error: RuntimeFault) => void;
}

/** A request the worker could not carry out; `errno` says why. */
class LogRequestError extends Error {
  override readonly name = "LogRequestError";
  readonly code: string;

  constructor(errno: string, message: string) {
    super(message);
    this.code = errno;
  }
}

/**
 * The daemon's end of the log worker: numbered requests, notices, and a new worker when one dies. The first one starts
 * with the first request, or ahead of it.
 */
export class LogWorkerLink implements AsyncDisposable {
  readonly #entry: URL;
  readonly #answerMs: number;
  readonly #log: Logger;
  readonly #events: LinkEvents;
  readonly #waiting = new Map<number, Waiting>();
  readonly #hangMs: number;
  readonly #stuck = new Set<Worker>();
  #mark = new BusyMark();
  #watch: Timer | undefined;
  #worker: Worker | undefined;
  #restart: Timer | undefined;
  #sequence = 0;
  #isStarted = false;
  #closing = false;

  constructor(
    log: Logger,
    events: LinkEvents,
    {
      entry = workerModule,
      answerMs = defaultAnswerMs,
      hangMs = defaultHangMs,
    }: { entry?: URL; answerMs?: number; hangMs?: number } = {},
  ) {
    this.#entry = entry;
    this.#answerMs = answerMs;
    this.#hangMs = hangMs;
    this.#log = log;
    this.#events = events;
  }

  /** Starts the first worker, ahead of the request that would wait for it. UNAVAILABLE when no thread can be started. */
  start(): void {
    if (this.#isStarted || this.#closing) return;
    this.#spawn();
    this.#isStarted = true;
  }

  /** Settles with the worker's answer. INTERNAL with a LogRequestError as cause; UNAVAILABLE while there is no worker, or when it does not answer in time. */
  async request(request: LogRequest): Promise<void> {
    this.start();
    const worker = this.#worker;
    if (worker === undefined) throw fault("UNAVAILABLE", "log worker is not running");
    this.#sequence += 1;
    const sequence = this.#sequence;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiting.set(sequence, { request, resolve, reject });
    using _timer = startTimer(() => {
      this.#waiting.delete(sequence);
      reject(noAnswer());
    }, this.#answerMs);
    worker.postMessage({ ...request, sequence }, []);
    await promise;
  }

  /**
   * Puts another worker in the place of one that is still at this piece of work. Requests for the logs of these keys
   * fail; `takeOver` hands the other logs to the new worker, which also gets the requests that had not been begun.
   * The old one ends its piece of work and does nothing more; `gone` settles then. Undefined when the worker has gone
   * on meanwhile, or when too many wait already.
   */
  giveUp(
    work: BusyWith,
    keys: ReadonlySet<string>,
    takeOver: () => void,
  ): { readonly gone: Promise<void> } | undefined {
    const worker = this.#worker;
    if (worker === undefined || this.#closing || this.#stuck.size >= maxStuck) return undefined;
    if (!this.#mark.retire(work)) return undefined;
    this.#stuck.add(worker);
    worker.removeAllListeners();
    worker.on("error", (err) => this.#log.error({ err }, "log worker failed"));
    const { promise: gone, resolve } = Promise.withResolvers<void>();
    worker.once("exit", () => {
      this.#stuck.delete(worker);
      resolve();
    });
    const waiting = [...this.#waiting];
    this.#spawnOrRetry();
    takeOver();
    for (const [sequence, { request, reject }] of waiting) {
      if (this.#worker !== undefined && (!("key" in request) || !keys.has(request.key))) {
        this.#worker.postMessage({ ...request, sequence }, []);
        continue;
      }
      this.#waiting.delete(sequence);
      reject(noAnswer());
    }
    return { gone };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    this.#restart?.stop();
    this.#watch?.stop();
    if (this.#worker === undefined) return;
    const worker = this.#worker;
    await this.request({ kind: "close-all" }).catch(() => {}); // it may die before it answers
    // A thread that waits for a disk ends only when the disk answers.
    const workers = [worker, ...this.#stuck];
    await settlesWithin(Promise.all(workers.map((each) => endThread(each))), this.#answerMs);
  }

  #spawn(): void {
    this.#watch?.stop();
    this.#mark = new BusyMark();
    const worker = this.#startThread();
    this.#watch = watchForHangs(this.#mark, this.#hangMs, (work) => this.#events.onHang(work));
    const startedAt = performance.now();
    this.#worker = worker;
    worker.on("message", (notice: LogNotice) => this.#receive(notice));
    worker.on("error", (err) => this.#log.error({ err }, "log worker failed"));
    worker.on("exit", () => this.#died(performance.now() - startedAt));
  }

  #startThread(): Worker {
    try {
      return startThread(this.#entry, {
        name: "berth-logs",
        execArgv: [],
        workerData: { busy: this.#mark.shared } satisfies LogWorkerData,
        heapMiB: ourShares().logHeapMiB,
      });
    } catch (cause) {
      // The node may be short of processes, or of memory, for a while.
      const { message } = toFault(cause);
      throw fault("UNAVAILABLE", `cannot start a thread for logs: ${message}`, { cause });
    }
  }

  /** In the place of one that is gone; where none can be started, later. */
  #spawnOrRetry(): boolean {
    try {
      this.#spawn();
      return true;
    } catch (err) {
      this.#worker = undefined;
      this.#log.error({ err }, "no log worker can be started, it is tried again");
      this.#restartIn(restartDelayMs);
      return false;
    }
  }

  #restartIn(ms: number): void {
    this.#restart = startTimer(() => {
      if (this.#spawnOrRetry()) this.#events.onRestart();
    }, ms);
  }

  #receive(notice: LogNotice): void {
    if (notice.kind !== "done" && notice.kind !== "failed") {
      this.#events.onNotice(notice);
      return;
    }
    const waiting = this.#waiting.get(notice.sequence);
    this.#waiting.delete(notice.sequence);
    if (notice.kind === "done") {
      waiting?.resolve();
    } else {
      const cause = new LogRequestError(notice.errno, notice.message);
      waiting?.reject(fault("INTERNAL", notice.message, { cause }));
    }
  }

  #died(livedMs: number): void {
    this.#worker = undefined;
    this.#watch?.stop();
    for (const { reject } of this.#waiting.values()) {
      reject(fault("UNAVAILABLE", "log worker ended before it answered"));
    }
    this.#waiting.clear();
    if (this.#closing) return;
    this.#log.error({ livedMs }, "log worker ended, starting another");
    this.#restartIn(livedMs < shortLifeMs ? restartDelayMs : 0);
  }
}

function noAnswer(): RuntimeFault {
  return fault("UNAVAILABLE", "log worker does not answer: the disk of a log file may hang");
}
