// SPDX-License-Identifier: Apache-2.0
import type { Worker } from "node:worker_threads";
import { fault } from "../errors.ts";
import { endThread, startThread } from "../threads/thread.ts";
import { type OneTimer, startTimer } from "../timers.ts";
import type { ParsingAnswer } from "./answer-tasks.ts";

const idleMs = 5000;

export interface ParsingThreadOptions {
  /** What the thread runs: it calls `answerTasks`. */
  readonly module: URL;
  /** Of the thread. */
  readonly name: string;
  readonly heapMiB: number;
}

/** Something to parse. It is copied to the thread. */
export interface ParsingTask {
  /** What errors call it. */
  readonly what: string;
}

interface Asked<Result> extends PromiseWithResolvers<ParsingAnswer<Result>> {
  readonly what: string;
}

/** A thread that parses what others wrote, one at a time. While it has none it does not keep the process alive. */
export class ParsingThread<Task extends ParsingTask, Result> {
  readonly #worker: Worker;
  #idle: OneTimer | undefined;
  #asked: Asked<Result> | undefined;

  /** `onEnd` is called once it takes no more tasks, which may be before the thread has ended. */
  constructor(
    { module, name, heapMiB }: ParsingThreadOptions,
    onEnd: (thread: ParsingThread<Task, Result>) => void,
  ) {
    this.#worker = startThread(module, {
      name,
      execArgv: [],
      trackUnmanagedFds: false,
      heapMiB,
    });
    this.#worker.on("message", (answer: ParsingAnswer<Result>) => this.#asked?.resolve(answer));
    this.#worker.on("error", () => {
      onEnd(this);
      const what = this.#asked?.what;
      this.#asked?.reject(fault("RESOURCE_EXHAUSTED", `${what} takes too much memory to be read`));
    });
    this.#worker.on("exit", () => {
      onEnd(this);
      const what = this.#asked?.what;
      this.#asked?.reject(fault("UNAVAILABLE", `the reader of ${what} has ended`));
    });
    this.#worker.unref();
  }

  /** RESOURCE_EXHAUSTED when it takes too much memory, UNAVAILABLE when the thread ends otherwise. */
  async ask(task: Task): Promise<ParsingAnswer<Result>> {
    this.#idle?.stop();
    const asked = { what: task.what, ...Promise.withResolvers<ParsingAnswer<Result>>() };
    this.#asked = asked;
    this.#worker.ref();
    this.#worker.postMessage(task, []);
    try {
      return await asked.promise;
    } finally {
      this.#asked = undefined;
      this.#worker.unref();
    }
  }

  endLater(): void {
    this.#idle = startTimer(() => this.end(), idleMs).unref();
  }

  end(): void {
    this.#idle?.stop();
    void endThread(this.#worker);
  }
}
