// SPDX-License-Identifier: Apache-2.0
import type { Worker } from "node:worker_threads";
import { endThread, startThread } from "../base/threads/thread.ts";
import { type OneTimer, startTimer } from "../base/timers.ts";
import type { SendAnswer, SendRequest } from "./messages.ts";
import type { JobOutcome, KubeJob, Problem, SendsJobs } from "./ports.ts";

/** For all jobs of a batch: one takes ten seconds at most, and what concerns all of them ends it. */
const answerMs = 60_000;
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
  #settle: ((answer: readonly JobOutcome[] | Problem) => void) | undefined;
  #idle: OneTimer | undefined;
  #isClosed = false;

  constructor(options: WorkerLinkOptions = {}) {
    this.#options = options;
  }

  /** One call at a time. */
  async send(kubeconfig: string, jobs: readonly KubeJob[]): Promise<readonly JobOutcome[]> {
    const answer = await this.#ask({ kubeconfig, jobs });
    if (!("kind" in answer)) return answer;
    return jobs.map((_, index) =>
      index === 0 ? { kind: "failed", problem: answer } : { kind: "untried" },
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#idle?.stop();
    this.#settle?.({ kind: "thread", message: "the daemon stops" });
    await this.#end();
  }

  async #ask(request: SendRequest): Promise<readonly JobOutcome[] | Problem> {
    if (this.#isClosed) return { kind: "thread", message: "the daemon stops" };
    if (this.#hanging) return { kind: "late", message: "its thread hangs in the kernel" };
    this.#idle?.stop();
    const { promise, resolve } = Promise.withResolvers<readonly JobOutcome[] | Problem>();
    this.#settle = resolve;
    using _limit = startTimer(() => this.#giveUp(), this.#options.answerMs ?? answerMs).unref();
    try {
      this.#worker ??= this.#spawn();
      this.#worker.postMessage(request, []);
      return await promise;
    } catch (error) {
      return { kind: "thread", message: String(error) };
    } finally {
      this.#settle = undefined;
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
    worker.on("message", ({ outcomes }: SendAnswer) => this.#settle?.(outcomes));
    worker.on("error", ({ message }) => this.#settle?.({ kind: "thread", message }));
    worker.on("exit", () => {
      if (this.#hanging === worker) this.#hanging = undefined;
      if (this.#worker !== worker) return;
      this.#worker = undefined;
      this.#settle?.({ kind: "thread", message: "its thread has ended" });
    });
    return worker;
  }

  #giveUp(): void {
    const worker = this.#worker;
    this.#worker = undefined;
    this.#hanging = worker;
    worker?.removeAllListeners("message"); // an answer that comes now is nobody's
    if (worker) void endThread(worker);
    this.#settle?.({ kind: "late", message: "nothing came of it within a minute" });
  }

  async #end(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    if (worker) await endThread(worker);
  }
}
