// SPDX-License-Identifier: Apache-2.0
import { Worker } from "node:worker_threads";
import { fault } from "../../base/errors.ts";
import { ourShares } from "../../base/memory/memory-shares.ts";
import { threadHeap } from "../../base/memory/thread-heap.ts";
import { type OneTimer, startTimer } from "../../base/timers.ts";
import type { DocumentAnswer } from "./document-worker.ts";
import type { DocumentTask } from "./parse-document.ts";

/** JSON can become objects of forty times its size. */
const heapMiB = ourShares().documentHeapMiB;
const idleMs = 5000;

const workerModule = new URL("./document-worker.ts", import.meta.url);

interface Asked extends PromiseWithResolvers<DocumentAnswer> {
  readonly task: DocumentTask;
}

/** A thread that reads documents, one at a time. While it has none it does not keep the process alive. */
export class DocumentThread {
  readonly #worker = new Worker(workerModule, {
    name: "documents",
    execArgv: [],
    trackUnmanagedFds: false,
    resourceLimits: threadHeap(heapMiB),
  });
  #idle: OneTimer | undefined;
  #asked: Asked | undefined;

  /** `onEnd` is called once it takes no more documents, which may be before the thread has ended. */
  constructor(onEnd: (thread: DocumentThread) => void) {
    this.#worker.on("message", (answer: DocumentAnswer) => this.#asked?.resolve(answer));
    this.#worker.on("error", () => {
      onEnd(this);
      const what = this.#asked?.task.what;
      this.#asked?.reject(fault("RESOURCE_EXHAUSTED", `${what} takes too much memory to be read`));
    });
    this.#worker.on("exit", () => {
      onEnd(this);
      const what = this.#asked?.task.what;
      this.#asked?.reject(fault("UNAVAILABLE", `the reader of ${what} has ended`));
    });
    this.#worker.unref();
  }

  /** RESOURCE_EXHAUSTED when it takes too much memory, UNAVAILABLE when the thread ends otherwise. */
  async ask(task: DocumentTask): Promise<DocumentAnswer> {
    this.#idle?.stop();
    const asked = { task, ...Promise.withResolvers<DocumentAnswer>() };
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
    void this.#worker.terminate();
  }
}
