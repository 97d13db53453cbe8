// SPDX-License-Identifier: Apache-2.0

import { Worker } from "node:worker_threads";
import { fault, type RuntimeFault } from "../../base/errors.ts";
import type { Logger } from "../../base/logger.ts";
import { settlesWithin } from "../../base/settles-within.ts";
import { startTimer, type Timer } from "../../base/timers.ts";
import type { LogNotice, LogRequest } from "./messages.ts";

const workerModule = new URL("./worker.ts", import.meta.url);
/** A worker that lived shorter than this is not started anew at once. */
const shortLifeMs = 10_000;
const restartDelayMs = 1000;
/** How long the worker may take to answer: it opens and writes files, and a disk may hang. */
const defaultAnswerMs = 20_000;

export interface LinkEvents {
  onNotice(notice: LogNotice): void;
  /** A new worker stands in for one that died; it knows no container yet. */
  onRestart(): void;
}

interface Waiting {
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

/** The daemon's end of the log worker: numbered requests, notices, and a new worker when one dies. */
export class LogWorkerLink implements AsyncDisposable {
  readonly #entry: URL;
  readonly #answerMs: number;
  readonly #log: Logger;
  readonly #events: LinkEvents;
  readonly #waiting = new Map<number, Waiting>();
  #worker: Worker | undefined;
  #restart: Timer | undefined;
  #sequence = 0;
  #closing = false;

  constructor(
    log: Logger,
    events: LinkEvents,
    { entry = workerModule, answerMs = defaultAnswerMs }: { entry?: URL; answerMs?: number } = {},
  ) {
    this.#entry = entry;
    this.#answerMs = answerMs;
    this.#log = log;
    this.#events = events;
    this.#spawn();
  }

  /** Settles with the worker's answer. INTERNAL with a LogRequestError as cause; UNAVAILABLE while there is no worker, or when it does not answer in time. */
  async request(request: LogRequest): Promise<void> {
    const worker = this.#worker;
    if (worker === undefined) throw fault("UNAVAILABLE", "log worker is not running");
    this.#sequence += 1;
    const sequence = this.#sequence;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiting.set(sequence, { resolve, reject });
    using _timer = startTimer(() => {
      this.#waiting.delete(sequence);
      reject(fault("UNAVAILABLE", "log worker does not answer: the disk of a log file may hang"));
    }, this.#answerMs);
    worker.postMessage({ ...request, sequence }, []);
    await promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    this.#restart?.stop();
    if (this.#worker === undefined) return;
    const worker = this.#worker;
    await this.request({ kind: "close-all" }).catch(() => {}); // it may die before it answers
    // A thread that waits for a disk ends only with that.
    await settlesWithin(worker.terminate(), this.#answerMs);
  }

  #spawn(): void {
    const worker = new Worker(this.#entry, {
      name: "berth-logs",
      execArgv: [],
      // Sockets take descriptors over; tracked ones would be closed a second time when the thread ends,
      // by then being someone else's.
      trackUnmanagedFds: false,
    });
    const startedAt = performance.now();
    this.#worker = worker;
    worker.on("message", (notice: LogNotice) => this.#receive(notice));
    worker.on("error", (err) => this.#log.error({ err }, "log worker failed"));
    worker.on("exit", () => this.#died(performance.now() - startedAt));
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
    for (const { reject } of this.#waiting.values()) {
      reject(fault("UNAVAILABLE", "log worker ended before it answered"));
    }
    this.#waiting.clear();
    if (this.#closing) return;
    this.#log.error({ livedMs }, "log worker ended, starting another");
    this.#restart = startTimer(
      () => {
        this.#spawn();
        this.#events.onRestart();
      },
      livedMs < shortLifeMs ? restartDelayMs : 0,
    );
  }
}
