// SPDX-License-Identifier: Apache-2.0
import type { Worker } from "node:worker_threads";
import { Semaphore } from "../base/semaphore.ts";
import { endThread, startThread } from "../base/threads/thread.ts";
import { type OneTimer, startTimer } from "../base/timers.ts";
import type { SendAnswer, SendRequest } from "./messages.ts";
import type { JobOutcome, KubeJob, Problem, SendsJobs } from "./ports.ts";

/** For all jobs of a batch: after 40 seconds none begins, and one takes ten, or twice that with a program's credential. */
const answerMs = 75_000;
/** Longer than from one batch to the next while there is much to say, and far less than a heartbeat. */
const idleMs = 30_000;
/** The client is 34 MiB in a checkout, 10 MiB in a package; an answer of 4 MiB can become ten times that. */
const heapMiB = 96;

export interface WorkerLinkOptions {
  /** The thread's module; another only in tests. */
  readonly entry?: URL;
  readonly answerMs?: number;
}

/**
 * The thread that speaks with the API server: there while there is something to say. To load the Kubernetes client takes
 * the better part of a second and tens of MiB, and it reads files and answers that may hang.
 */
export class WorkerLink implements SendsJobs {
  readonly #options: WorkerLinkOptions;
  #worker: Worker | undefined;
  /** One that was given up and has not ended: it hangs in the kernel, and no other is started beside it. */
  #hanging: Worker | undefined;
  #asked: Asked | undefined;
  /** A batch waits for the one before, whoever has stopped to wait for that: answers would be taken for another's. */
  readonly #turn = new Semaphore(1);
  #idle: OneTimer | undefined;
  #isClosed = false;

  constructor(options: WorkerLinkOptions = {}) {
    this.#options = options;
  }

  /** What is known when the thread is given up is told: an API server must not be told the same again. */
  async send(kubeconfig: string, jobs: readonly KubeJob[]): Promise<readonly JobOutcome[]> {
    using _turn = await this.#turn.acquire();
    const outcomes: JobOutcome[] = [];
    const problem = await this.#ask({ kubeconfig, jobs }, outcomes);
    if (problem && outcomes.length < jobs.length) outcomes.push({ kind: "failed", problem });
    while (outcomes.length < jobs.length) outcomes.push({ kind: "untried" });
    return outcomes;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#idle?.stop();
    this.#asked?.end({ kind: "thread", message: "the daemon stops" });
    await this.#end();
  }

  /** Adds the outcomes as they come; answers why there are not all. */
  async #ask(request: SendRequest, outcomes: JobOutcome[]): Promise<Problem | undefined> {
    if (this.#isClosed) return { kind: "thread", message: "the daemon stops" };
    if (this.#hanging) return { kind: "late", message: "its thread hangs in the kernel" };
    this.#idle?.stop();
    const { promise, resolve } = Promise.withResolvers<Problem | undefined>();
    const take = (outcome: JobOutcome): void => {
      if (outcomes.push(outcome) >= request.jobs.length) resolve(undefined);
    };
    this.#asked = { take, end: resolve };
    using _limit = startTimer(() => this.#giveUp(), this.#options.answerMs ?? answerMs).unref();
    try {
      this.#worker ??= this.#spawn();
      this.#worker.postMessage(request, []);
      return await promise;
    } catch (error) {
      return { kind: "thread", message: String(error) };
    } finally {
      this.#asked = undefined;
      if (!this.#isClosed) this.#idle = startTimer(() => void this.#end(), idleMs).unref();
    }
  }

  #spawn(): Worker {
    const entry = this.#options.entry ?? new URL("./worker.ts", import.meta.url);
    const worker = startThread(entry, {
      name: "berth-kube",
      execArgv: [],
      trackUnmanagedFds: false,
      heapMiB,
    });
    worker.unref();
    worker.on("message", ({ outcome }: SendAnswer) => this.#asked?.take(outcome));
    worker.on("error", ({ message }) => this.#asked?.end({ kind: "thread", message }));
    worker.on("exit", () => {
      if (this.#hanging === worker) this.#hanging = undefined;
      if (this.#worker !== worker) return;
      this.#worker = undefined;
      this.#asked?.end({ kind: "thread", message: "its thread has ended" });
    });
    return worker;
  }

  #giveUp(): void {
    const worker = this.#worker;
    this.#worker = undefined;
    this.#hanging = worker;
    worker?.removeAllListeners("message"); // an answer that comes now is nobody's
    if (worker) void endThread(worker);
    this.#asked?.end({ kind: "late", message: "nothing came of it in time" });
  }

  async #end(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    if (worker) await endThread(worker);
  }
}

interface Asked {
  readonly take: (outcome: JobOutcome) => void;
  readonly end: (problem: Problem) => void;
}
