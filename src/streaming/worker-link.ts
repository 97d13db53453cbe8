// SPDX-License-Identifier: Apache-2.0

import { closeSync } from "node:fs";
import type { Worker } from "node:worker_threads";
import { fault } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import { ourShares } from "../base/memory/memory-shares.ts";
import { endThread, startThread } from "../base/threads/thread.ts";
import { startTimer, type Timer } from "../base/timers.ts";
import { within } from "../base/waits.ts";
import type { StreamingConfig } from "../config/config.ts";
import { HostedSessions } from "./hosted-sessions.ts";
import type {
  Answer,
  SessionCall,
  SessionTarget,
  StreamingWorkerData,
  WorkerNotice,
  WorkerRequest,
} from "./messages.ts";
import type { SessionHost, StreamingLimits } from "./ports.ts";

const workerModule = new URL("./worker.ts", import.meta.url);
/** A worker that lived shorter than this is restarted with a delay. */
const shortLifeMs = 10_000;
const restartDelayMs = 1000;
const closeTimeoutMs = 2000;
const closingAnswer = {
  ok: false,
  fault: { code: "UNAVAILABLE", message: "the streaming server is closing" },
} as const;
const heapMiB = ourShares().streamingHeapMiB;

export interface StreamingServerOptions {
  readonly config: StreamingConfig;
  readonly host: SessionHost;
  readonly log: Logger;
  /** How often sessions are probed for clients that vanished or fell silent. Default 5000. */
  readonly probeMs?: number;
  /** Module the worker starts with; for tests of its death. */
  readonly entry?: URL;
}

interface Waiting {
  readonly resolve: (path: string) => void;
  readonly reject: (error: Error) => void;
}

/**
 * The main thread's end of the streaming worker. A worker that dies takes its sessions and tokens with
 * it; another one is started on the same address.
 */
export class StreamingWorkerLink implements AsyncDisposable {
  /** Settles when the first worker listens, or could not. */
  readonly listening: Promise<void>;
  readonly #log: Logger;
  readonly #sessions: HostedSessions;
  readonly #waiting = new Map<number, Waiting>();
  readonly #firstTry = Promise.withResolvers<void>();
  readonly #probeMs: number;
  readonly #entry: URL;
  #config: StreamingConfig;
  #worker: Worker | undefined;
  #restart: Timer | undefined;
  #closed = Promise.withResolvers<void>();
  #address = "";
  #sequence = 0;
  #closing = false;

  constructor({ config, host, log, probeMs = 5000, entry = workerModule }: StreamingServerOptions) {
    this.#probeMs = probeMs;
    this.#entry = entry;
    this.#config = config;
    this.#log = log;
    this.listening = this.#firstTry.promise;
    this.listening.catch(() => {}); // for whoever asks
    this.#sessions = new HostedSessions({
      host,
      log,
      onEnded: (session, end) => this.#post({ kind: "ended", session, end }),
    });
    this.#spawn();
  }

  /** `host:port` as bound. */
  get address(): string {
    return this.#address;
  }

  /** A one-time path. RESOURCE_EXHAUSTED; UNAVAILABLE while there is no worker. */
  issue(target: SessionTarget): Promise<string> {
    if (this.#worker === undefined) {
      return Promise.reject(fault("UNAVAILABLE", "streaming worker is not running"));
    }
    this.#sequence += 1;
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    this.#waiting.set(this.#sequence, { resolve, reject });
    this.#post({ kind: "issue", sequence: this.#sequence, target });
    return promise;
  }

  /** For the worker that runs, and those that may follow it. */
  limit(limits: StreamingLimits): void {
    this.#config = { ...this.#config, ...limits };
    this.#post({ kind: "limit", limits });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#closing) {
      this.#closing = true;
      this.#restart?.stop();
      await this.#stopWorker();
    }
    await this.#sessions[Symbol.asyncDispose]();
  }

  async #stopWorker(): Promise<void> {
    const worker = this.#worker;
    if (worker === undefined) return;
    this.#post({ kind: "close" });
    await within(this.#closed.promise, closeTimeoutMs);
    await endThread(worker);
  }

  #post(request: WorkerRequest): void {
    this.#worker?.postMessage(request, []);
  }

  #spawn(): void {
    const data: StreamingWorkerData = { config: this.#config, probeMs: this.#probeMs };
    const worker = startThread(this.#entry, {
      name: "berth-streaming",
      workerData: data,
      execArgv: [],
      // Sockets take descriptors over; tracked ones would be closed a second time when the thread ends,
      // by then being someone else's.
      trackUnmanagedFds: false,
      heapMiB,
    });
    const startedAt = performance.now();
    this.#worker = worker;
    worker.on("message", (notice: WorkerNotice) => this.#receive(worker, notice));
    worker.on("error", (err) => this.#log.error({ err }, "streaming worker failed"));
    worker.on("exit", () => this.#died(performance.now() - startedAt));
  }

  #receive(worker: Worker, notice: WorkerNotice): void {
    switch (notice.kind) {
      case "listening":
        this.#address = notice.address;
        this.#config = { ...this.#config, address: notice.address };
        this.#firstTry.resolve();
        break;
      case "failed":
        this.#failed(fault(notice.fault.code, notice.fault.message));
        break;
      case "issued":
        this.#issued(notice.sequence, notice.answer);
        break;
      case "call":
        void this.#answer(worker, notice.session, notice.sequence, notice.call); // cannot reject
        break;
      case "gone":
        this.#sessions.gone(notice.session);
        break;
      case "log":
        this.#log[notice.level](notice.fields, notice.message);
        break;
      case "closed":
        this.#closed.resolve();
        break;
    }
  }

  async #answer(
    worker: Worker,
    session: number,
    sequence: number,
    call: SessionCall,
  ): Promise<void> {
    const answer = await this.#sessions.call(session, call);
    const fd = call.verb === "dial" && answer.ok ? (answer.value as number) : undefined;
    const isThere = this.#worker === worker;
    if (fd !== undefined && (!isThere || this.#closing)) {
      // One that was told to close may end before it takes a descriptor over: then that is nobody's.
      closeSync(fd);
      if (isThere) this.#post({ kind: "answer", sequence, answer: closingAnswer });
    } else if (isThere) this.#post({ kind: "answer", sequence, answer });
  }

  /** The worker could not listen. The first time the caller gets the error; later it is tried again. */
  #failed(error: Error): void {
    if (this.#address === "") {
      this.#firstTry.reject(error);
      return;
    }
    this.#log.error({ err: error }, "streaming worker cannot listen");
    if (this.#worker) void endThread(this.#worker); // #died follows
  }

  #issued(sequence: number, answer: Answer<string>): void {
    const waiting = this.#waiting.get(sequence);
    this.#waiting.delete(sequence);
    if (answer.ok) waiting?.resolve(answer.value);
    else waiting?.reject(fault(answer.fault.code, answer.fault.message));
  }

  #died(livedMs: number): void {
    this.#worker = undefined;
    this.#closed.resolve();
    const ended = fault("UNAVAILABLE", "streaming worker ended");
    this.#firstTry.reject(ended);
    for (const { reject } of this.#waiting.values()) reject(ended);
    this.#waiting.clear();
    void this.#sessions.allGone(); // logs what fails
    if (this.#closing || this.#address === "") return;
    this.#log.error({ livedMs }, "streaming worker ended, starting another");
    const delayMs = livedMs < shortLifeMs ? restartDelayMs : 0;
    this.#restart = startTimer(() => this.#spawn(), delayMs);
  }
}
